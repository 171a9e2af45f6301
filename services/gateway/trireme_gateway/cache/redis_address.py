"""Where Redis is, as one URL says it: a server, the master that Sentinels know, or a cluster.

    redis://[user:password@]host[:6379][/database]
    unix://[user:password@]/path/of/socket[?db=0]
    redis+sentinel://[user:password@]host[:26379],host[:26379]/service[/database]
    redis+cluster://[user:password@]host[:6379],host[:6379]

`rediss` in place of `redis` is TLS, to the Sentinels and all nodes as well. User and password are those of
the servers that hold data; Sentinels that ask for a password get `?sentinel_user=` and
`?sentinel_password=`. All four are percent-encoded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

_SCHEMES = ("redis", "rediss", "unix", "redis+sentinel", "rediss+sentinel", "redis+cluster", "rediss+cluster")
_PORT, _SENTINEL_PORT = 6379, 26379
_QUERY = {"unix": {"db"}, "sentinel": {"sentinel_user", "sentinel_password"}}


class Form(Enum):
    """How the servers are found and share the keys."""

    SERVER = "server"
    SENTINEL = "sentinel"
    CLUSTER = "cluster"


class Endpoint(NamedTuple):
    """One server. With a port of 0 the host is the path of a Unix socket."""

    host: str
    port: int


class Login(NamedTuple):
    """None where the server asks for none."""

    user: str | None = None
    password: str | None = None


_NO_LOGIN = Login()


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """What a URL says. `repr` shows no password."""

    form: Form
    endpoints: tuple[Endpoint, ...]
    """The server; or Sentinels; or nodes of the cluster to ask for the others."""
    tls: bool = False
    login: Login = _NO_LOGIN
    sentinel_login: Login = _NO_LOGIN
    database: int = 0
    service: str = ""
    """Name of the master among those that the Sentinels watch."""

    def __repr__(self) -> str:
        return f"RedisAddress({self.form.value}, {len(self.endpoints)} endpoints)"


def parse_redis_url(url: str) -> RedisAddress:
    """Raises ValueError, which says what is wrong and shows nothing of the URL but its scheme."""
    try:
        parts = urlsplit(url)
    except ValueError:  # it would show the URL
        raise ValueError("the URL cannot be read: are all of its parts percent-encoded?") from None
    scheme = parts.scheme.lower()
    if scheme not in _SCHEMES:
        raise ValueError(f"the URL must begin with {', '.join(f'{scheme}://' for scheme in _SCHEMES)}")
    kind = scheme.partition("+")[2] or ("unix" if scheme == "unix" else "server")
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    unknown = set(query) - _QUERY.get(kind, set())
    if unknown:
        raise ValueError(f"a {scheme}:// URL does not take '{min(unknown)}'")
    return _socket(parts, query) if kind == "unix" else _servers(scheme, Form(kind), parts, query)


def _socket(parts: SplitResult, query: Mapping[str, str]) -> RedisAddress:
    login, hosts = _login(parts.netloc)
    if hosts or not parts.path.strip("/"):
        raise ValueError("a unix:// URL names the path of a socket: unix:///run/redis.sock")
    endpoint = Endpoint(unquote(parts.path), 0)
    return RedisAddress(Form.SERVER, (endpoint,), login=login, database=_database(query.get("db", "0")))


def _servers(scheme: str, form: Form, parts: SplitResult, query: Mapping[str, str]) -> RedisAddress:
    login, hosts = _login(parts.netloc)
    default_port = _SENTINEL_PORT if form is Form.SENTINEL else _PORT
    endpoints = tuple(_endpoint(host, default_port) for host in hosts.split(","))
    if form is Form.SERVER and len(endpoints) > 1:
        raise ValueError(f"{scheme}:// names one server; redis+cluster:// or redis+sentinel:// names several")
    path = [unquote(part) for part in parts.path.split("/") if part]
    service = path.pop(0) if form is Form.SENTINEL and path else ""
    if form is Form.SENTINEL and not service:
        raise ValueError(f"a {scheme}:// URL names the master behind the Sentinels: {scheme}://host/service")
    if len(path) > 1 or (path and form is Form.CLUSTER):
        raise ValueError(f"the path of a {scheme}:// URL has too many parts; a cluster has no databases")
    return RedisAddress(
        form,
        endpoints,
        tls=scheme.startswith("rediss"),
        login=login,
        sentinel_login=Login(query.get("sentinel_user"), query.get("sentinel_password")),
        database=_database(path[0]) if path else 0,
        service=service,
    )


def _login(netloc: str) -> tuple[Login, str]:
    """The login before the last `@`, and the hosts behind it."""
    given, _, hosts = netloc.rpartition("@")
    user, _, password = given.partition(":")
    return Login(unquote(user) or None, unquote(password) or None), hosts


def _endpoint(text: str, default_port: int) -> Endpoint:
    host, colon, port = text.rpartition(":")
    if not colon or text.endswith("]"):  # no port, perhaps an IPv6 address
        host, port = text, str(default_port)
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 1 << 16:
        raise ValueError("every server of the URL is host or host:port, with commas between them")
    return Endpoint(host, int(port))


def _database(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise ValueError("a database is a whole number, 0 or more")
    return int(text)

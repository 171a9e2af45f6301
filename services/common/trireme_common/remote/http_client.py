"""GET over HTTP(S) with bounds: redirects, time-outs, sizes, and where credentials may go."""

from __future__ import annotations

import ssl
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import SplitResult, urljoin, urlsplit

import urllib3
from urllib3.exceptions import HTTPError

from trireme_common.remote.failure import Kind, SourceError

_MAX_REDIRECTS = 5
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_BLOCK = 1024 * 1024
_SMALL_SECONDS = 60.0


@dataclass(frozen=True)
class HttpBounds:
    """How long to wait and what to speak to."""

    timeout_seconds: float = 30.0
    """For a connection, and for each read."""
    allow_http: bool = False
    """Whether plain http:// is allowed; a redirect from https:// to http:// never is."""
    connections: int = 8


class HttpClient:
    """Connections to every host that is met, reused. Proxies and CAs as the environment says.

    `HTTPS_PROXY`, `HTTP_PROXY`, `NO_PROXY` and `SSL_CERT_FILE` are honoured. Thread-safe.
    """

    def __init__(self, bounds: HttpBounds) -> None:
        self._bounds = bounds
        self._pools: dict[str, urllib3.PoolManager] = {}
        self._context = ssl.create_default_context()

    @contextmanager
    def get(self, url: str, headers: Mapping[str, str]) -> Iterator[urllib3.BaseHTTPResponse]:
        """The response with its body unread, redirects followed. Raises SourceError(UNREACHABLE or REFUSED).

        `authorization` goes to the host of `url` alone.
        """
        response = self._request(url, {"accept-encoding": "identity", **headers})
        try:
            yield response
        except (HTTPError, OSError) as error:
            raise unreachable(url, error) from error
        finally:
            response.close()  # a body that was not read to its end makes the connection useless

    def _request(self, url: str, headers: dict[str, str]) -> urllib3.BaseHTTPResponse:
        origin = _origin(urlsplit(url))
        for _ in range(_MAX_REDIRECTS + 1):
            parts = urlsplit(url)
            self._check(parts, origin)
            sent = dict(headers)
            if _origin(parts) != origin:
                sent = {name: value for name, value in sent.items() if name.lower() != "authorization"}
            response = self._open(url, parts, sent)
            location = response.headers.get("location")
            if response.status not in _REDIRECTS or not location:
                return response
            response.close()
            url = urljoin(url, location)
        raise SourceError(Kind.REFUSED, f"{origin[1]}: more than {_MAX_REDIRECTS} redirects")

    def _check(self, parts: SplitResult, origin: tuple[str, str]) -> None:
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise SourceError(Kind.REFUSED, f"a redirect to {parts.scheme}:, which is not HTTP")
        if parts.scheme == "http" and (origin[0] == "https" or not self._bounds.allow_http):
            raise SourceError(Kind.REFUSED, f"http://{parts.hostname} is not encrypted")

    def _open(self, url: str, parts: SplitResult, headers: dict[str, str]) -> urllib3.BaseHTTPResponse:
        try:
            return self._pool(parts).request(
                "GET", url, headers=headers, preload_content=False, decode_content=False,
                redirect=False, retries=False,
            )  # fmt: skip
        except (HTTPError, OSError) as error:
            raise unreachable(url, error) from error

    def _pool(self, parts: SplitResult) -> urllib3.PoolManager:
        proxy = urllib.request.getproxies().get(parts.scheme, "")
        if urllib.request.proxy_bypass(parts.netloc.rpartition("@")[2]):
            proxy = ""
        if proxy not in self._pools:
            seconds = self._bounds.timeout_seconds
            timeout = urllib3.Timeout(connect=seconds, read=seconds)
            size = self._bounds.connections
            self._pools[proxy] = (
                urllib3.ProxyManager(proxy, timeout=timeout, maxsize=size, ssl_context=self._context)
                if proxy
                else urllib3.PoolManager(timeout=timeout, maxsize=size, ssl_context=self._context)
            )
        return self._pools[proxy]


def read_small(response: urllib3.BaseHTTPResponse, limit: int) -> bytes:
    """A whole body of at most `limit` bytes, within a minute. Raises SourceError(REFUSED or UNREACHABLE)."""
    deadline = time.monotonic() + _SMALL_SECONDS
    parts: list[bytes] = []
    size = 0
    while part := response.read1(_BLOCK):
        size += len(part)
        if size > limit:
            raise SourceError(Kind.REFUSED, f"an answer of more than {limit} bytes")
        if time.monotonic() > deadline:
            raise SourceError(Kind.UNREACHABLE, "the source is too slow")
        parts.append(part)
    return b"".join(parts)


def blocks(response: urllib3.BaseHTTPResponse, url: str) -> Iterator[bytes]:
    """The body as it arrives. Raises SourceError(UNREACHABLE) where the connection breaks."""
    try:
        while block := response.read1(_BLOCK):
            yield block
    except (HTTPError, OSError) as error:
        raise unreachable(url, error) from error


def status_error(status: int, what: str) -> SourceError:
    """What a status other than success means."""
    if status in (401, 403):
        return SourceError(Kind.DENIED, f"{what}: the source answers {status}; look at the credentials")
    if status in (404, 410, 412, 416):
        return SourceError(Kind.CHANGED, f"{what}: the source answers {status}")
    if status in (408, 425, 429) or status >= 500:
        return SourceError(Kind.UNREACHABLE, f"{what}: the source answers {status}")
    return SourceError(Kind.REFUSED, f"{what}: the source answers {status}")


def unreachable(url: str, error: Exception) -> SourceError:
    """A failure of the network, without the path that was asked for."""
    host = urlsplit(url).hostname
    reason = getattr(error, "reason", None) or error
    return SourceError(Kind.UNREACHABLE, f"{host}: {type(error).__name__}: {str(reason)[:200]}")


def _origin(parts: SplitResult) -> tuple[str, str]:
    return parts.scheme, parts.netloc.lower()

"""Passwords, users of an ACL and TLS, against real redis-servers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from tests.support.redis import RedisServer, redis_server
from tests.support.redis_caches import PATIENT, gateway, hits_redis, until
from tests.support.redis_tls import Authority, TlsRedisServer
from trireme_gateway.cache.events import Fault
from trireme_gateway.cache.redis_client import RedisTls

RIGHTS = ("~trireme:1:*", "resetchannels", "-@all", "+get", "+mget", "+set")
"""As docs/cache.md says it."""


def grant(server: RedisServer, *rights: str) -> str:
    """The URL of a user with those rights."""
    assert server.command("ACL", "SETUSER", "trireme", "reset", "on", ">p@ss", *rights) == b"+OK\r\n"
    return f"redis://trireme:p%40ss@127.0.0.1:{server.port}/0"


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with redis_server() as running:
        yield running


async def test_a_user_with_the_documented_rights_is_enough(server: RedisServer) -> None:
    url = grant(server, *RIGHTS)
    async with gateway(url, PATIENT, flight_seconds=5) as one, gateway(url, PATIENT) as two:
        await until(lambda: hits_redis(one, b"a"))
        await until(lambda: hits_redis(two, b"a"))
        assert not one.counts.errors
        assert not two.counts.errors


@pytest.mark.parametrize("missing", ["+set", "+mget", "~trireme:1:*"])
async def test_a_missing_right_is_said_once_and_serving_goes_on(server: RedisServer, missing: str) -> None:
    url = grant(server, *(right for right in RIGHTS if right != missing))
    with structlog.testing.capture_logs() as lines:
        async with gateway(url, PATIENT) as one:
            for number in range(30):
                assert await one.ask(b"%d" % number) == "miss"
            assert one.counts.errors[Fault.DENIED] > 0
    said = [line for line in lines if line["event"] == "redis_denies_a_command"]
    assert len(said) == 1
    assert "NOPERM" in said[0]["error"] or "permissions" in said[0]["error"]


async def test_a_wrong_password_is_said_once_and_serving_goes_on(server: RedisServer) -> None:
    url = grant(server, *RIGHTS).replace("p%40ss", "wrong")
    with structlog.testing.capture_logs() as lines:
        async with gateway(url, PATIENT) as one:
            for number in range(10):
                assert await one.ask(b"%d" % number) == "miss"
            assert one.counts.errors[Fault.DENIED] > 0
    assert [line["event"] for line in lines].count("redis_denies_a_command") == 1
    assert "wrong" not in str(lines).replace("wrong number", "")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls") / "authority")


@pytest.fixture(scope="module")
def tls_server(authority: Authority) -> Iterator[TlsRedisServer]:
    """It asks for a client's certificate."""
    certificate, key = authority.sign("localhost")
    options = ("--tls-cert-file", str(certificate), "--tls-key-file", str(key))
    options += ("--tls-ca-cert-file", str(authority.certificate), "--tls-auth-clients", "yes")
    with redis_server(*options, kind=TlsRedisServer) as running:
        assert isinstance(running, TlsRedisServer)
        yield running


@pytest.fixture(scope="module")
def client_files(authority: Authority) -> RedisTls:
    certificate, key = authority.sign("gateway")
    return RedisTls(authority.certificate, certificate, key)


async def test_a_server_with_tls_is_a_second_level(
    tls_server: TlsRedisServer, client_files: RedisTls
) -> None:
    url = f"rediss://localhost:{tls_server.port}/0"
    async with gateway(url, PATIENT, tls=client_files) as one, gateway(url, PATIENT, tls=client_files) as two:
        await until(lambda: hits_redis(one, b"a"))
        await until(lambda: hits_redis(two, b"a"))
        assert not one.counts.errors


async def never_hits(url: str, tls: RedisTls) -> None:
    async with gateway(url, PATIENT, tls=tls) as one:
        for number in range(5):
            assert await one.ask(b"%d" % number) == "miss"
        assert one.counts.errors[Fault.CONNECTION] > 0


async def test_a_name_that_is_not_the_certificates_is_refused(
    tls_server: TlsRedisServer, client_files: RedisTls
) -> None:
    await never_hits(f"rediss://127.0.0.1:{tls_server.port}/0", client_files)


async def test_an_authority_that_is_not_trusted_is_refused(
    tls_server: TlsRedisServer, client_files: RedisTls, tmp_path: Path
) -> None:
    other = Authority(tmp_path / "other")
    files = RedisTls(other.certificate, client_files.certificate_file, client_files.key_file)
    await never_hits(f"rediss://localhost:{tls_server.port}/0", files)


async def test_a_gateway_without_a_certificate_is_refused(
    tls_server: TlsRedisServer, client_files: RedisTls
) -> None:
    await never_hits(f"rediss://localhost:{tls_server.port}/0", RedisTls(client_files.ca_file))


async def test_no_tls_at_all_is_refused(tls_server: TlsRedisServer) -> None:
    await never_hits(f"redis://localhost:{tls_server.port}/0", RedisTls())


def test_files_that_cannot_be_used_are_told(client_files: RedisTls, tmp_path: Path) -> None:
    client_files.context()
    empty = tmp_path / "empty.pem"
    empty.write_text("")
    for wrong in (
        RedisTls(tmp_path / "missing.pem"),
        RedisTls(empty),
        RedisTls(certificate_file=empty),
        RedisTls(client_files.ca_file, client_files.ca_file, client_files.key_file),
        RedisTls(key_file=client_files.key_file),
    ):
        with pytest.raises(ValueError, match="TLS"):
            wrong.context()

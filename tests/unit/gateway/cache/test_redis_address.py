from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trireme_gateway.cache.redis_address import Endpoint, Form, Login, RedisAddress, parse_redis_url


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://cache", RedisAddress(Form.SERVER, (Endpoint("cache", 6379),))),
        (
            "rediss://user:p%40ss%2F@cache:7000/3",
            RedisAddress(
                Form.SERVER, (Endpoint("cache", 7000),), tls=True, login=Login("user", "p@ss/"), database=3
            ),
        ),
        (
            "redis://:secret@127.0.0.1/",
            RedisAddress(Form.SERVER, (Endpoint("127.0.0.1", 6379),), login=Login(None, "secret")),
        ),
        (
            "unix:///run/my%20redis.sock?db=2",
            RedisAddress(Form.SERVER, (Endpoint("/run/my redis.sock", 0),), database=2),
        ),
        (
            "unix://user:x@/run/redis.sock",
            RedisAddress(Form.SERVER, (Endpoint("/run/redis.sock", 0),), login=Login("user", "x")),
        ),
        (
            "redis+sentinel://user:x@a,b:26380,[::1]:5/main/4?sentinel_user=s&sentinel_password=%25",
            RedisAddress(
                Form.SENTINEL,
                (Endpoint("a", 26379), Endpoint("b", 26380), Endpoint("::1", 5)),
                login=Login("user", "x"),
                sentinel_login=Login("s", "%"),
                database=4,
                service="main",
            ),
        ),
        (
            "rediss+cluster://a:1,[fe80::1]",
            RedisAddress(Form.CLUSTER, (Endpoint("a", 1), Endpoint("fe80::1", 6379)), tls=True),
        ),
    ],
)
def test_what_a_url_says(url: str, expected: RedisAddress) -> None:
    assert parse_redis_url(url) == expected


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("http://secret@cache", "must begin with redis://"),
        ("cache:6379", "must begin with redis://"),
        ("redis://secret@a,b", "names one server"),
        ("redis://secret@cache/x", "whole number"),
        ("redis://secret@cache/1/2", "too many parts"),
        ("redis://secret@cache:0", "host or host:port"),
        ("redis://secret@cache:70000", "host or host:port"),
        ("redis://secret@", "host or host:port"),
        ("redis://secret@cache?socket_timeout=9", "does not take 'socket_timeout'"),
        ("unix://", "path of a socket"),
        ("unix://secret/run/redis.sock", "path of a socket"),
        ("redis+sentinel://secret@a,b", "names the master"),
        ("redis+sentinel://secret@a/main/x", "whole number"),
        ("redis+cluster://secret@a/1", "no databases"),
        ("redis+cluster://secret@a,,b", "host or host:port"),
        ("redis://secret\u2100@a", "cannot be read"),
        ("redis://secret@[::1", "cannot be read"),
    ],
)
def test_a_wrong_url_is_told_without_its_secrets(url: str, told: str) -> None:
    with pytest.raises(ValueError, match=told) as error:
        parse_redis_url(url)
    assert "secret" not in str(error.value)


@given(st.text(max_size=80))
def test_arbitrary_urls_are_refused_or_understood(rest: str) -> None:
    for scheme in ("redis", "unix", "redis+sentinel", "redis+cluster"):
        try:
            assert parse_redis_url(f"{scheme}://{rest}").endpoints
        except ValueError:
            continue


def test_a_login_is_not_shown() -> None:
    address = parse_redis_url("redis+sentinel://user:secret@a/main?sentinel_password=hidden")
    assert "secret" not in repr(address)
    assert "hidden" not in repr(address)

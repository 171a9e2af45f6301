from __future__ import annotations

import pytest

from trireme_common.shown_url import shown_url


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://user:hunter2@cache:6379/0", "redis://user:***@cache:6379/0"),
        ("rediss://:hunter2@cache", "rediss://:***@cache"),
        ("redis+cluster://u:hunter2@a:1,b:2", "redis+cluster://u:***@a:1,b:2"),
        ("unix://:hunter2@/run/redis.sock?db=1", "unix://:***@/run/redis.sock?db=1"),
        (
            "redis+sentinel://u:hunter2@a,b/main?sentinel_user=s&sentinel_password=hunter2",
            "redis+sentinel://u:***@a,b/main?sentinel_user=s&sentinel_password=***",
        ),
        ("https://user:hunter2@gateway/path", "https://user:***@gateway/path"),
        # Not encoded as they should be, or no URL at all.
        ("redis://:hun/ter?2#@cache", "redis://:***@cache"),
        ("redis://:hunter2@hunter2@cache", "redis://:***@cache"),
        ("redis:hunter2@cache", "redis:***@cache"),
        ("user:hunter2@cache:6379", "user:***@cache:6379"),
        ("redis://:hunter2\n@cache", "redis://:***@cache"),
    ],
)
def test_a_password_is_not_shown(url: str, shown: str) -> None:
    assert shown_url(url) == shown


@pytest.mark.parametrize(
    "url",
    [
        "redis://cache:6379/0", "redis://user@cache", "unix:///run/redis.sock?db=0", "unix:///run/redis@1.sock",
        "http://127.0.0.1:8080/a?b=c", "http://[::1]:8080", "embedded", "",
    ],
)  # fmt: skip
def test_what_holds_none_stays(url: str) -> None:
    assert shown_url(url) == url

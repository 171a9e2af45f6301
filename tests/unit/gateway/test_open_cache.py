from __future__ import annotations

from pathlib import Path

import pytest

from trireme_common.errors import SettingsError
from trireme_gateway.open_cache import open_cache, redis_access
from trireme_gateway.settings import GatewaySettings


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"redis_url": "http://user:hidden@cache"}, "REDIS_URL"),
        ({"redis_url": "redis+sentinel://user:hidden@cache"}, "REDIS_URL.*names the master"),
        (
            {"redis_url": "rediss://user:hidden@cache", "redis_tls_ca_file": Path("missing.pem")},
            "missing.pem",
        ),
        ({"redis_url": "redis://cache", "cache_secret": "hidden"}, "CACHE_SECRET"),
    ],
)
def test_a_redis_that_cannot_be_spoken_to_is_told(settings: dict[str, object], told: str) -> None:
    with pytest.raises(SettingsError, match=told) as error:
        open_cache(GatewaySettings.model_validate(settings))
    assert "hidden" not in error.value.detail


@pytest.mark.parametrize("url", [None, ""])
async def test_without_a_redis_memory_alone_serves(url: str | None) -> None:
    settings = GatewaySettings.model_validate({"redis_url": url})
    assert redis_access(settings) is None
    await open_cache(settings).close()


@pytest.mark.parametrize(
    "url", ["redis://127.0.0.1:1", "redis+sentinel://127.0.0.1:1/main", "redis+cluster://127.0.0.1:1"]
)
async def test_a_redis_that_is_not_there_does_not_keep_the_cache_from_opening(url: str) -> None:
    await open_cache(GatewaySettings.model_validate({"redis_url": url})).close()

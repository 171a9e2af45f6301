from __future__ import annotations

import pytest

from trireme_common.errors import SettingsError
from trireme_common.settings import load_settings
from trireme_gateway.settings import GatewaySettings


def test_how_stale_answers_may_be_by_model(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_settings(GatewaySettings).cache_stale_seconds_by_model == {}
    monkeypatch.setenv("TRIREME_GATEWAY_CACHE_STALE_SECONDS_BY_MODEL", '{"a": 60, "b": 0.5}')
    assert load_settings(GatewaySettings).cache_stale_seconds_by_model == {"a": 60, "b": 0.5}


@pytest.mark.parametrize("wrong", ["60", "{", '{"a": -1}', '{"a": "soon"}'])
def test_what_is_no_map_of_seconds_is_told(monkeypatch: pytest.MonkeyPatch, wrong: str) -> None:
    monkeypatch.setenv("TRIREME_GATEWAY_CACHE_STALE_SECONDS_BY_MODEL", wrong)
    with pytest.raises(SettingsError, match="TRIREME_GATEWAY_CACHE_STALE_SECONDS_BY_MODEL"):
        load_settings(GatewaySettings)

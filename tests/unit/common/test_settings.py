from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import SettingsConfigDict

from trireme_common.errors import SettingsError
from trireme_common.settings import StageSettings, load_settings


class ToySettings(StageSettings):
    """Environment: TRIREME_TOY_*."""

    model_config = SettingsConfigDict(env_prefix="TRIREME_TOY_")

    port: int = Field(5, ge=0, le=65535)
    secret: SecretStr | None = None


def test_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRIREME_MODELS_DIR", raising=False)
    settings = load_settings(ToySettings)
    assert (settings.host, settings.port, settings.metrics_port) == ("127.0.0.1", 5, None)
    assert settings.models_dir == Path("models")
    with pytest.raises(ValidationError):
        settings.port = 6  # type: ignore[misc]


def test_own_names_bear_the_prefix_and_shared_ones_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "TRIREME_TOY_PORT": "7",
        "TRIREME_TOY_DRAIN_SECONDS": "0.25",
        "TRIREME_MODELS_DIR": "/m",
        "TRIREME_LOG_LEVEL": "debug",
        "TRIREME_TOY_SECRET": "hush",
        "TRIREME_TOY_UNKNOWN": "x",
    }.items():
        monkeypatch.setenv(name, value)
    settings = load_settings(ToySettings)
    assert (settings.port, settings.drain_seconds, settings.log_level) == (7, 0.25, "debug")
    assert settings.models_dir == Path("/m")
    assert "hush" not in repr(settings)


def test_what_is_wrong_is_said_by_the_name_of_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIREME_TOY_PORT", "70000")
    monkeypatch.setenv("TRIREME_LOG_LEVEL", "loud")
    with pytest.raises(SettingsError) as refused:
        load_settings(ToySettings)
    assert "TRIREME_TOY_PORT: Input should be less than or equal to 65535" in refused.value.detail
    assert "TRIREME_LOG_LEVEL: " in refused.value.detail

from __future__ import annotations

from typing import Any

import pytest

from trireme_common.errors import Code, TriremeError
from trireme_gateway.extensions.log_settings import LogSettings


@pytest.mark.parametrize(
    ("level", "levels"),
    [
        ("debug", {"debug", "info", "warning", "error"}),
        ("info", {"info", "warning", "error"}),
        ("error", {"error"}),
    ],
)
def test_they_begin_as_the_gateway_was_started(level: str, levels: set[str]) -> None:
    assert LogSettings.at(level).levels == levels


def test_only_what_is_given_changes() -> None:
    settings = LogSettings.at("warning").changed({"log_verbose_level": 2, "log_error": False})
    assert settings.values() == {
        "log_file": "",
        "log_info": False,
        "log_warning": True,
        "log_error": False,
        "log_verbose_level": 2,
        "log_format": "default",
    }
    assert settings.levels == {"debug", "warning"}


def test_what_was_answered_can_be_sent_back() -> None:
    settings = LogSettings.at("debug").changed({"log_format": "ISO8601"})
    assert LogSettings().changed(settings.values()) == settings
    assert settings.changed(dict.fromkeys(settings.values())) == settings


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"log_file": "x.log"}, "log file location can not be updated through network protocol"),
        ({"log_info": "yes"}, "expect boolean for 'log_info'"),
        ({"log_error": 0}, "expect boolean for 'log_error'"),
        ({"log_verbose_level": True}, "Unable to parse 'log_verbose_level'"),
        ({"log_verbose_level": "1"}, "expect int32 for 'log_verbose_level'"),
        ({"log_verbose_level": -1}, "out of range"),
        ({"log_verbose_level": 2**32}, "out of range"),
        ({"log_format": "verse"}, "invalid argument for log_format, got: verse"),
        ({"log_format": 1}, "expect string for 'log_format'"),
        ({"log_warnings": True}, "no log setting 'log_warnings'"),
    ],
)
def test_what_cannot_be_is_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(TriremeError) as refused:
        LogSettings().changed(given)
    assert refused.value.code is Code.INVALID_ARGUMENT
    assert said in refused.value.detail

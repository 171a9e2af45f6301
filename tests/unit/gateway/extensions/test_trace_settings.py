from __future__ import annotations

from typing import Any

import pytest

from trireme_common.errors import Code, TriremeError
from trireme_gateway.extensions.trace_settings import EVERY_MODEL, TraceSettings


def test_they_begin_as_the_gateway_was_started() -> None:
    assert TraceSettings(on=True, ratio=0.1).values("m", 0) == {
        "trace_file": "",
        "trace_level": ["TIMESTAMPS"],
        "trace_rate": "10",
        "trace_count": "-1",
        "log_frequency": "0",
        "trace_mode": "opentelemetry",
    }
    off = TraceSettings()
    assert off.values("m", 0)["trace_level"] == ["OFF"]
    assert off.untouched
    assert not off.any_on
    assert TraceSettings(on=True, ratio=0.0).values("m", 0)["trace_rate"] == "0"


def test_a_models_own_settings_come_before_those_for_all() -> None:
    settings = TraceSettings().changed(EVERY_MODEL, {"trace_rate": "500", "log_frequency": 10}, "t1")
    settings = settings.changed("m", {"trace_rate": ["7"], "trace_level": ["TIMESTAMPS"]}, "t2")
    own, other = settings.plan("m"), settings.plan("n")
    assert (own.scope, own.on, own.rate, own.log_frequency) == ("m", True, 7, 10)
    assert (other.scope, other.on, other.rate) == (EVERY_MODEL, False, 500)
    assert settings.any_on


@pytest.mark.parametrize("nothing", [None, []])
def test_a_setting_that_is_cleared_falls_back(nothing: object) -> None:
    settings = TraceSettings(on=True).changed(EVERY_MODEL, {"trace_rate": "500"}, "t1")
    settings = settings.changed("m", {"trace_rate": "7", "trace_count": "3"}, "t2")
    settings = settings.changed("m", {"trace_rate": nothing, "trace_count": nothing}, "t3")
    assert settings.plan("m").rate == 500
    assert settings.plan("m").count == -1
    assert not settings.tickets
    assert settings.changed(EVERY_MODEL, {"trace_rate": nothing}, "t4").untouched


def test_a_count_says_how_many_are_left_and_begins_anew_when_it_is_set() -> None:
    settings = TraceSettings(on=True).changed(EVERY_MODEL, {"trace_count": "5"}, "t1")
    assert settings.plan("m").ticket == "t1"
    assert [settings.values("m", taken)["trace_count"] for taken in (0, 2, 9)] == ["5", "3", "0"]
    settings = settings.changed(EVERY_MODEL, {"trace_rate": "1"}, "t2")
    assert settings.tickets == {"t1"}
    settings = settings.changed("m", {"trace_count": "-1"}, "t3")
    assert settings.values("m", 9)["trace_count"] == "-1"
    assert settings.changed(EVERY_MODEL, {"trace_count": "5"}, "t4").plan("n").ticket == "t4"


def test_what_was_answered_can_be_sent_back() -> None:
    settings = TraceSettings(on=True)
    answered = settings.values(EVERY_MODEL, 0)
    assert settings.changed(EVERY_MODEL, answered, "t1").values(EVERY_MODEL, 0) == answered
    as_lists = {name: [value] if isinstance(value, str) else value for name, value in answered.items()}
    assert settings.changed("m", as_lists, "t1").values("m", 0) == answered


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"trace_file": "t.json"}, "trace file location can not be updated through network protocol"),
        ({"trace_mode": "triton"}, "trace_mode is 'opentelemetry'"),
        ({"trace_level": ["OFF", "TIMESTAMPS"]}, "only one trace level 'OFF'"),
        ({"trace_level": ["TENSORS"]}, "no trace level 'TENSORS'"),
        ({"trace_level": [1]}, "expect a list of strings for 'trace_level'"),
        ({"trace_level": "OFF"}, "expect a list of strings for 'trace_level'"),
        ({"trace_rate": "often"}, "Unable to parse 'trace_rate', got: often"),
        ({"trace_rate": "-1"}, "out of range [ 0, 4294967295 ]"),
        ({"trace_rate": ["1", "2"]}, "expect only 1 value for 'trace_rate'"),
        ({"trace_rate": True}, "Unable to parse 'trace_rate'"),
        ({"trace_rate": "9" * 50}, "Unable to parse 'trace_rate'"),
        ({"trace_count": "-2"}, "out of range [ -1, 2147483647 ]"),
        ({"log_frequency": 1.5}, "Unable to parse 'log_frequency'"),
        ({"rate": "1"}, "no trace setting 'rate'"),
    ],
)
def test_what_cannot_be_is_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(TriremeError) as refused:
        TraceSettings().changed("m", given, "t1")
    assert refused.value.code is Code.INVALID_ARGUMENT
    assert said in refused.value.detail

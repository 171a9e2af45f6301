from __future__ import annotations

from typing import Any

from trireme_gateway.extensions.sampling import LocalTickets, Sampler
from trireme_gateway.extensions.trace_settings import EVERY_MODEL, TraceSettings


def sampler(given: dict[str, dict[str, Any]], *, on: bool = True, ratio: float = 1.0) -> Sampler:
    settings = TraceSettings(on, ratio)
    for number, (model, values) in enumerate(given.items()):
        settings = settings.changed(model, values, f"t{number}")
    return Sampler(settings, LocalTickets())


def decisions(made: Sampler, model: str, requests: int, *, asked: bool = False) -> list[bool]:
    return [made.wants(model, number << 60, asked=asked) for number in range(requests)]


def test_one_of_so_many_requests_is_traced() -> None:
    made = sampler({EVERY_MODEL: {"trace_rate": "3"}})
    assert decisions(made, "m", 7) == [False, False, True, False, False, True, False]


def test_models_with_settings_of_their_own_are_counted_apart() -> None:
    made = sampler({EVERY_MODEL: {"trace_rate": "2"}, "m": {"trace_rate": "3"}})
    assert decisions(made, "n", 1) == [False]
    assert decisions(made, "m", 3) == [False, False, True]
    assert decisions(made, "other", 1) == [True]


def test_no_more_than_the_count_are_traced() -> None:
    made = sampler({EVERY_MODEL: {"trace_rate": "2", "trace_count": "2"}, "m": {"trace_rate": "1"}})
    assert sum(decisions(made, "m", 1) + decisions(made, "n", 9)) == 2
    assert not any(decisions(made, "m", 9) + decisions(made, "n", 9))


def test_where_no_rate_was_set_the_part_holds_that_the_gateway_was_started_with() -> None:
    made = sampler({EVERY_MODEL: {"log_frequency": "1"}}, ratio=0.5)
    assert decisions(made, "m", 16) == [True] * 8 + [False] * 8


def test_a_caller_decides_itself_unless_tracing_is_off() -> None:
    made = sampler({EVERY_MODEL: {"trace_rate": "0", "trace_count": "0"}, "quiet": {"trace_level": ["OFF"]}})
    assert decisions(made, "m", 2) == [False, False]
    assert decisions(made, "m", 2, asked=True) == [True, True]
    assert decisions(made, "quiet", 2, asked=True) == [False, False]


def test_requests_that_ask_no_model_are_traced_while_all_are() -> None:
    assert decisions(sampler({EVERY_MODEL: {"trace_rate": "1"}}), "", 2) == [True, True]
    assert decisions(sampler({EVERY_MODEL: {"trace_rate": "2"}}), "", 2) == [False, False]
    counted = sampler({EVERY_MODEL: {"trace_rate": "1", "trace_count": "2"}})
    assert decisions(counted, "", 3) == [False, False, False]
    assert decisions(counted, "m", 3) == [True, True, False]


def test_counting_begins_afresh_with_other_settings() -> None:
    made = sampler({EVERY_MODEL: {"trace_rate": "2"}})
    assert decisions(made, "m", 1) == [False]
    made.apply(TraceSettings(on=True).changed(EVERY_MODEL, {"trace_rate": "2"}, "t"))
    assert decisions(made, "m", 2) == [False, True]


def test_traces_are_sent_whenever_so_many_are_complete() -> None:
    made = sampler({EVERY_MODEL: {"log_frequency": "2"}, "m": {"log_frequency": "0"}})
    assert [made.collected("n") for _ in range(4)] == [False, True, False, True]
    assert [made.collected("m") for _ in range(3)] == [False, False, False]

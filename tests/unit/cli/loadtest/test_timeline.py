from __future__ import annotations

import pytest

from trireme_cli.loadtest.timeline import Timeline


def test_steps_hold_what_ended_in_them() -> None:
    timeline = Timeline()
    for at, latency in ((0.0, 0.001), (0.2, 0.003), (0.6, None), (0.7, 0.002)):
        timeline.record(at, latency)
    assert timeline.step_seconds == 0.25
    assert [(step.latency.count, step.errors) for step in timeline.steps] == [(2, 0), (0, 0), (1, 1)]


def test_a_long_run_has_longer_steps_and_loses_nothing() -> None:
    timeline = Timeline()
    for second in range(3600):
        timeline.record(second, 0.001 if second % 2 else None)
    assert timeline.step_seconds == 16
    assert len(timeline.steps) == 225
    assert sum(step.latency.count for step in timeline.steps) == 1800
    assert sum(step.errors for step in timeline.steps) == 1800
    assert {step.latency.count for step in timeline.steps} == {8}


def test_the_last_second() -> None:
    timeline = Timeline()
    for number in range(40):
        timeline.record(number / 10, 0.001)
    step, seconds = timeline.recent(4.0, 1.0)
    assert step.latency.count == 10
    assert seconds == pytest.approx(1.0)

"""Answers and errors over time, in a bounded number of steps."""

from __future__ import annotations

from dataclasses import dataclass, field

from trireme_cli.loadtest.histogram import Histogram

_FIRST_STEP_SECONDS = 0.25
_MOST_STEPS = 240


@dataclass
class Step:
    """What ended within one step of time."""

    latency: Histogram = field(default_factory=Histogram)
    errors: int = 0

    def merge(self, other: Step) -> None:
        self.latency.merge(other.latency)
        self.errors += other.errors


class Timeline:
    """Steps from the start on. When they become too many, two become one and steps are twice as long."""

    def __init__(self) -> None:
        self.step_seconds = _FIRST_STEP_SECONDS
        self.steps: list[Step] = []

    def record(self, at: float, latency: float | None) -> None:
        """What ended `at` seconds after the start; without a latency it is an error."""
        number = max(0, int(at / self.step_seconds))
        while number >= _MOST_STEPS:
            self._halve()
            number //= 2
        while number >= len(self.steps):
            self.steps.append(Step())
        if latency is None:
            self.steps[number].errors += 1
        else:
            self.steps[number].latency.record(latency)

    def recent(self, at: float, seconds: float) -> tuple[Step, float]:
        """What ended within about `seconds` before `at`, and how many seconds that were."""
        first = max(0, int((at - seconds) / self.step_seconds))
        found = Step()
        for step in self.steps[first:]:
            found.merge(step)
        return found, max(at - first * self.step_seconds, 1e-9)

    def _halve(self) -> None:
        if len(self.steps) % 2:
            self.steps.append(Step())
        for left, right in zip(self.steps[::2], self.steps[1::2], strict=True):
            left.merge(right)
        self.steps = self.steps[::2]
        self.step_seconds *= 2

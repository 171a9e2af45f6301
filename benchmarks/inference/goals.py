"""P5 and P6 of performance.md, each line with what was found."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.figures import Spread
from benchmarks.inference.asking import BUSIEST
from benchmarks.inference.driver import OPEN_SHARES, level_of
from benchmarks.inference.models import IMAGE, TEXT
from benchmarks.inference.results import ModelResult
from benchmarks.inference.servers import OURS, PLATFORM, STREAM

_LONG_US = 2000.0
"""CPU time an item from which P5 counts."""
_EFFICIENCY = {TEXT: 0.90, IMAGE: 0.85}
_NAMES = {TEXT: "P5", IMAGE: "P6"}


@dataclass(frozen=True)
class Line:
    """One line of a goal; `met` is None where it could not be measured."""

    words: str
    bound: float
    found: Spread | None
    at_most: bool = False

    @property
    def met(self) -> bool | None:
        if self.found is None:
            return None
        return self.found.median <= self.bound if self.at_most else self.found.median >= self.bound


def lines(model: ModelResult) -> list[Line]:
    """The goals for one model; none for a model too small to be meant."""
    if not model.floor_us:
        return []
    alone = Spread.of(model.floor_us).median
    if model.kind == TEXT and alone < _LONG_US:
        return []
    goal, bound, level = _NAMES[model.kind], _EFFICIENCY[model.kind], str(BUSIEST)
    made = [
        Line(
            f"{goal}, {model.name}: {door} at {level}, at least {bound:.2f} of ONNX Runtime alone by CPU",
            bound,
            model.efficiency(door, level),
        )
        for door in (STREAM, PLATFORM)
        if door in model.servers
    ]
    if PLATFORM in model.servers:
        for name in model.servers:
            if name not in OURS:
                made += _against(goal, model, name)
    return made


def _against(goal: str, model: ModelResult, name: str) -> list[Line]:
    """The platform beside one other server."""
    level, last = str(BUSIEST), level_of(OPEN_SHARES[-1])
    rate = model.against(PLATFORM, name, level, "requests_per_second")
    made = [Line(f"{goal}, {model.name}: items/s at {level} at least {name}'s", 1.0, rate)]
    for where in (level, last):
        found = model.against(PLATFORM, name, where, "p99_ms")
        made.append(Line(f"{goal}, {model.name}: p99 at {where} at most {name}'s", 1.0, found, at_most=True))
    return made

"""Triton's trace settings: the gateway's own, those set for all models, those set for one model.

Each setting of a model is the model's own where it was set, else that for all models, else the one the
gateway was started with. A count belongs to where it was set: models without a count of their own use up
the common one together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from trireme_gateway.extensions.settings_values import check_known, refuse, whole_number

KEYS = ("trace_file", "trace_level", "trace_rate", "trace_count", "log_frequency", "trace_mode")
MODE = "opentelemetry"
OFF, TIMESTAMPS = "OFF", "TIMESTAMPS"
EVERY_MODEL = ""
_UNLIMITED = -1
_FIXED = {"trace_file": "", "trace_mode": MODE}
_RANGES = {
    "trace_rate": (0, 2**32 - 1),
    "trace_count": (_UNLIMITED, 2**31 - 1),
    "log_frequency": (0, 2**32 - 1),
}


@dataclass(frozen=True, slots=True)
class TracePlan:
    """What holds for one model."""

    scope: str
    """The model where anything was set for it, else `EVERY_MODEL`: requests are counted by it."""
    on: bool
    rate: int | None
    """One request of so many is traced, 0 traces none but those whose callers want it; None keeps the
    part of all requests that the gateway was started with."""
    count: int
    """How many more were to be traced when this was set, -1 for any number."""
    ticket: str
    """Under which name the traces of `count` are counted."""
    log_frequency: int
    """After how many traces they are sent at once; 0 leaves it to the exporter."""


@dataclass(frozen=True, slots=True)
class TraceSettings:
    """`on` and `ratio` are what the gateway was started with; `given` what was set since, by model."""

    on: bool = False
    ratio: float = 1.0
    given: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def untouched(self) -> bool:
        """Whether everything is as the gateway was started."""
        return not self.given

    @property
    def any_on(self) -> bool:
        """Whether there is anything that can be traced."""
        return any(self.plan(model).on for model in (EVERY_MODEL, *self.given))

    @property
    def tickets(self) -> frozenset[str]:
        """The names of all counts."""
        return frozenset(values["ticket"] for values in self.given.values() if "ticket" in values)

    def plan(self, model: str) -> TracePlan:
        everyone = self.given.get(EVERY_MODEL, {})
        found = {**everyone, **self.given.get(model, {})}
        return TracePlan(
            model if model in self.given else EVERY_MODEL,
            found.get("trace_level", TIMESTAMPS if self.on else OFF) != OFF,
            found.get("trace_rate"),
            found.get("trace_count", _UNLIMITED),
            found.get("ticket", ""),
            found.get("log_frequency", 0),
        )

    def values(self, model: str, taken: int) -> dict[str, str | list[str]]:
        """As Triton answers them; `taken` traces were taken of the plan's count."""
        plan = self.plan(model)
        rate = plan.rate if plan.rate is not None else round(1 / self.ratio) if self.ratio else 0
        left = plan.count if plan.count == _UNLIMITED else max(0, plan.count - taken)
        return {
            "trace_file": "",
            "trace_level": [TIMESTAMPS if plan.on else OFF],
            "trace_rate": str(rate),
            "trace_count": str(left),
            "log_frequency": str(plan.log_frequency),
            "trace_mode": MODE,
        }

    def changed(self, model: str, given: Mapping[str, Any], ticket: str) -> TraceSettings:
        """With what is given for `model`, or for all of them; null or an empty list clears a setting.

        `ticket` is a name that no count had before. Raises TriremeError(INVALID_ARGUMENT) for what a
        setting cannot be.
        """
        check_known(given, KEYS, "trace")
        values = dict(self.given.get(model, {}))
        for name, value in given.items():
            cleared = value is None or value == []
            if name in _FIXED:
                _check_fixed(name, value, cleared)
            elif cleared:
                values.pop(name, None)
            else:
                values[name] = _level(value) if name == "trace_level" else _number(name, value)
        if "trace_count" not in values:
            values.pop("ticket", None)
        elif given.get("trace_count") not in (None, []):
            values["ticket"] = ticket
        others = {name: kept for name, kept in self.given.items() if name != model}
        return replace(self, given={**others, model: values} if values else others)


def _check_fixed(name: str, value: Any, cleared: bool) -> None:
    if cleared or value in (_FIXED[name], [_FIXED[name]]):
        return
    if name == "trace_file":
        raise refuse(
            "trace file location can not be updated through network protocol; traces go to the collector "
            "of TRIREME_OTEL_EXPORTER_ENDPOINT, else to the gateway's log"
        )
    raise refuse(f"trace_mode is '{MODE}' and can not be updated through network protocol")


def _level(levels: Any) -> str:
    if not isinstance(levels, list) or not all(isinstance(level, str) for level in levels):
        raise refuse("expect a list of strings for 'trace_level'")
    if OFF in levels and len(levels) > 1:
        raise refuse("Expect only one trace level 'OFF' is specified")
    unknown = [level for level in levels if level not in (OFF, TIMESTAMPS)]
    if unknown:
        raise refuse(
            f"there is no trace level '{unknown[0][:64]}'; there are OFF and TIMESTAMPS, because traces "
            "never hold what callers sent"
        )
    return str(levels[0])


def _number(name: str, value: Any) -> int:
    if isinstance(value, list):
        if len(value) != 1:
            raise refuse(f"expect only 1 value for '{name}'")
        (value,) = value
    least, most = _RANGES[name]
    return whole_number(name, value, least, most)

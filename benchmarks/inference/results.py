"""What a run found."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from benchmarks.figures import Sample, Spread, ratio
from benchmarks.machine import Machine

RAW, THRIFTY = "most items/s", "least CPU"
"""Levels of the anchor's samples: its fastest setting, and the one that takes least CPU time an item."""


@dataclass
class Served:
    """One server on one model; where it failed, `failure` says why and there are no samples."""

    setting: str = ""
    tried: dict[str, Sample] = field(default_factory=dict)
    """One short window of each setting that was tried, at the most callers."""
    samples: dict[str, list[Sample]] = field(default_factory=dict)
    """By level (callers, or the share of its capacity in an open loop), one a round."""
    rates: dict[str, list[float]] = field(default_factory=dict)
    """Requests a second that were offered, by level of the open loop."""
    failure: str = ""

    def add(self, level: str, sample: Sample) -> None:
        self.samples.setdefault(level, []).append(sample)

    def fail(self, reason: str) -> None:
        self.failure = reason
        self.samples.clear()

    def spread(self, level: str, figure: str) -> Spread:
        """Median and range of the rounds. Raises ValueError where nothing was measured."""
        return Spread.of(self.values(level, figure))

    def values(self, level: str, figure: str) -> list[float]:
        """One property of the samples, round by round; empty where there are none."""
        return [float(getattr(sample, figure)) for sample in self.samples.get(level, [])]


@dataclass
class ModelResult:
    """One model: the anchor and every server."""

    name: str
    note: str
    kind: str
    raw: Served = field(default_factory=Served)
    anchors: dict[str, str] = field(default_factory=dict)
    """Setting of ONNX Runtime alone, by level."""
    servers: dict[str, Served] = field(default_factory=dict)
    failure: str = ""

    @property
    def failures(self) -> list[str]:
        """A line for everything that was to be measured and was not."""
        named = {"ONNX Runtime alone": self.raw, **self.servers}
        found = [f"{self.name}/{name}: {each.failure}" for name, each in named.items() if each.failure]
        return [f"{self.name}: {self.failure}", *found] if self.failure else found

    def efficiency(self, server: str, level: str) -> Spread | None:
        """Least CPU per item of ONNX Runtime alone / CPU per item of the server, round by round."""
        return self._ratio(self.floor_us, self._values(server, level, "cpu_us"))

    @property
    def floor_us(self) -> list[float]:
        """CPU microseconds an item of ONNX Runtime alone, the less of its settings in each round."""
        levels = [self.raw.values(level, "cpu_us") for level in self.raw.samples]
        return [min(round_) for round_ in zip(*levels, strict=True)]

    def share(self, server: str, level: str) -> Spread | None:
        """Items a second of the server / of ONNX Runtime alone."""
        figure = "requests_per_second"
        return self._ratio(self._values(server, level, figure), self.raw.values(RAW, figure))

    def against(self, ours: str, theirs: str, level: str, figure: str) -> Spread | None:
        """A figure of one server / the same of another."""
        return self._ratio(self._values(ours, level, figure), self._values(theirs, level, figure))

    def _values(self, server: str, level: str, figure: str) -> list[float]:
        return self.servers[server].values(level, figure) if server in self.servers else []

    def _ratio(self, ours: list[float], theirs: list[float]) -> Spread | None:
        if not ours or len(ours) != len(theirs):
            return None
        return ratio(ours, theirs)


@dataclass
class InferenceResults:
    """Everything of one command."""

    command: str
    machine: Machine
    rounds: int
    seconds: float
    versions: dict[str, str] = field(default_factory=dict)
    """Of the frameworks."""
    models: list[ModelResult] = field(default_factory=list)

    @property
    def failures(self) -> list[str]:
        """A line for everything that was to be measured and was not."""
        return [failure for model in self.models for failure in model.failures]

    def as_dict(self) -> dict[str, Any]:
        """Plain values, with the figures that samples are turned into."""
        content = asdict(self)
        for model, plain in zip(self.models, content["models"], strict=True):
            for served, one in ((model.raw, plain["raw"]), *_pairs(model, plain)):
                one["samples"] = {
                    level: [_plain(sample) for sample in samples] for level, samples in served.samples.items()
                }
                one["tried"] = {setting: _plain(sample) for setting, sample in served.tried.items()}
        return content


def _pairs(model: ModelResult, plain: dict[str, Any]) -> list[tuple[Served, dict[str, Any]]]:
    return [(served, plain["servers"][name]) for name, served in model.servers.items()]


def _plain(sample: Sample) -> dict[str, Any]:
    return {
        **asdict(sample),
        "requests_per_second": sample.requests_per_second,
        "cpu_us": sample.cpu_us,
        "generator_load": sample.generator_load,
    }

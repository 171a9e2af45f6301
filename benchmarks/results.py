"""What a run of the benchmark found, as it is printed, written and kept."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from benchmarks.figures import Sample, Spread, difference, ratio
from benchmarks.machine import Machine


@dataclass
class ServerResult:
    """One server on one workload. A case that failed once keeps none of its samples."""

    setting: str = ""
    """The setting that was fastest of those tried."""
    tried: dict[str, float] = field(default_factory=dict)
    """Requests per second of each setting that was tried."""
    samples: dict[int, list[Sample]] = field(default_factory=dict)
    """By connections, one a round."""
    failure: str = ""

    def add(self, connections: int, sample: Sample) -> None:
        self.samples.setdefault(connections, []).append(sample)

    def fail(self, reason: str) -> None:
        self.failure = reason
        self.samples.clear()

    def spread(self, connections: int, figure: str) -> Spread:
        """Of one property of the samples. Raises KeyError where nothing was measured."""
        return Spread.of(self.values(connections, figure))

    def programs(self, connections: int) -> dict[str, Spread]:
        """CPU microseconds a request of each of the server's programs. Raises KeyError."""
        samples = self.samples[connections]
        names = dict.fromkeys(name for sample in samples for name in sample.program_cpu_seconds)
        return {name: Spread.of([sample.program_cpu_us(name) for sample in samples]) for name in names}

    def timings(self, connections: int) -> dict[str, Spread]:
        """Milliseconds of each part of `server-timing`. Raises KeyError."""
        samples = self.samples[connections]
        names = dict.fromkeys(name for sample in samples for name in sample.timings_ms)
        return {name: Spread.of([sample.timings_ms[name] for sample in samples]) for name in names}

    def values(self, connections: int, figure: str) -> list[float]:
        """One property of the samples, round by round."""
        return [float(getattr(sample, figure)) for sample in self.samples[connections]]


@dataclass
class WorkloadResult:
    """One workload on every server that was asked for."""

    name: str
    note: str
    servers: dict[str, ServerResult] = field(default_factory=dict)
    failure: str = ""

    def ratio(self, ours: str, theirs: str, connections: int, figure: str) -> Spread | None:
        """Per-round ratio of two servers, or None where one of them was not measured."""
        found = self._rounds(ours, theirs, connections, figure)
        return ratio(*found) if found else None

    def difference(self, ours: str, theirs: str, connections: int, figure: str) -> Spread | None:
        """Per-round difference of two servers, or None where one of them was not measured."""
        found = self._rounds(ours, theirs, connections, figure)
        return difference(*found) if found else None

    def _rounds(
        self, ours: str, theirs: str, connections: int, figure: str
    ) -> tuple[list[float], list[float]] | None:
        mine, other = self.servers.get(ours), self.servers.get(theirs)
        if mine is None or other is None:
            return None
        if connections not in mine.samples or connections not in other.samples:
            return None
        return mine.values(connections, figure), other.values(connections, figure)


@dataclass
class MemoryResult:
    """PSS of the platform's programs in MB, and after how many requests."""

    readings: dict[int, dict[str, float]] = field(default_factory=dict)
    failure: str = ""


@dataclass
class StartResult:
    """Seconds from the gateway's process to its first answer, round by round."""

    seconds: list[float] = field(default_factory=list)
    failure: str = ""


@dataclass
class Results:
    """Everything of one command."""

    command: str
    machine: Machine
    rounds: int
    seconds: float
    workloads: list[WorkloadResult] = field(default_factory=list)
    memory: MemoryResult | None = None
    start: StartResult | None = None

    @property
    def failures(self) -> list[str]:
        """A line for every case that could not be measured."""
        found = [f"{workload.name}: {workload.failure}" for workload in self.workloads if workload.failure]
        for workload in self.workloads:
            for name, server in workload.servers.items():
                if server.failure:
                    found.append(f"{workload.name}/{name}: {server.failure}")
        if self.memory is not None and self.memory.failure:
            found.append(f"memory: {self.memory.failure}")
        if self.start is not None and self.start.failure:
            found.append(f"start: {self.start.failure}")
        return found

    def as_dict(self) -> dict[str, Any]:
        """Plain values, with the figures that samples are turned into."""
        content = asdict(self)
        if self.memory is not None:
            content["memory"]["readings"] = {str(at): mb for at, mb in self.memory.readings.items()}
        for workload, plain in zip(self.workloads, content["workloads"], strict=True):
            for name, server in workload.servers.items():
                plain["servers"][name]["samples"] = {
                    str(connections): [_sample(sample) for sample in samples]
                    for connections, samples in server.samples.items()
                }
        return content


def _sample(sample: Sample) -> dict[str, Any]:
    return {
        **asdict(sample),
        "requests_per_second": sample.requests_per_second,
        "cpu_us": sample.cpu_us,
        "generator_load": sample.generator_load,
    }

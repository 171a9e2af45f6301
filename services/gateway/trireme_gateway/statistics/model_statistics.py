"""Statistics of one model version as values that can be summed, under the names of Triton's extension."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypeVar

INFERENCE = (
    "success", "fail", "queue", "compute_input", "compute_infer", "compute_output", "cache_hit", "cache_miss",
)  # fmt: skip
RESPONSE = ("compute_infer", "compute_output", "success", "fail", "empty_response", "cancel")
BATCH = ("compute_input", "compute_infer", "compute_output")


@dataclass(frozen=True, slots=True)
class Duration:
    """How often something happened, and how many nanoseconds it took altogether."""

    count: int = 0
    ns: int = 0

    def __add__(self, other: Duration) -> Duration:
        return Duration(self.count + other.count, self.ns + other.ns)


Durations = Mapping[str, Duration]


@dataclass(frozen=True, slots=True)
class CacheCounts:
    """Items that the gateway's cache answered, and those that it had to have computed."""

    hits: Duration = Duration()
    misses: Duration = Duration()


@dataclass(frozen=True, slots=True)
class ModelStatistics:
    """Counts since the servers' start."""

    name: str
    version: str
    last_inference_ms: int = 0
    """Milliseconds since the epoch; 0 where there was none."""
    inferences: int = 0
    executions: int = 0
    inference: Durations = field(default_factory=dict)
    responses: Mapping[str, Durations] = field(default_factory=dict)
    """By the number of the response; of models that answer a request more than once."""
    batches: Mapping[int, Durations] = field(default_factory=dict)
    """By the rows of a run."""
    memory: Mapping[tuple[str, int], int] = field(default_factory=dict)
    """Bytes by kind of memory (`CPU`, `GPU`) and number of the device."""

    def __add__(self, other: ModelStatistics) -> ModelStatistics:
        """The sum for the same version at two servers."""
        return replace(
            self,
            last_inference_ms=max(self.last_inference_ms, other.last_inference_ms),
            inferences=self.inferences + other.inferences,
            executions=self.executions + other.executions,
            inference=_sum(self.inference, other.inference),
            responses=_sum_all(self.responses, other.responses),
            batches=_sum_all(self.batches, other.batches),
            memory=_sum(self.memory, other.memory),
        )

    def with_cache(self, cached: CacheCounts) -> ModelStatistics:
        """As Triton has it where a cache stands before the model: what the cache answered was answered well
        and queued for no time, and a miss adds its look-up to the time of its request."""
        found = {
            "success": cached.hits + Duration(0, cached.misses.ns),
            "queue": Duration(cached.hits.count),
            "cache_hit": cached.hits,
            "cache_miss": cached.misses,
        }
        return replace(self, inference=_sum(self.inference, found))

    def plain(self) -> dict[str, Any]:
        """Triton's JSON object, which has the names and the nesting of its gRPC message too."""
        return {
            "name": self.name,
            "version": self.version,
            "last_inference": self.last_inference_ms,
            "inference_count": self.inferences,
            "execution_count": self.executions,
            "inference_stats": _plain(self.inference, INFERENCE),
            "response_stats": {key: _plain(found, RESPONSE) for key, found in self.responses.items()},
            "batch_stats": [
                {"batch_size": rows, **_plain(found, BATCH)} for rows, found in sorted(self.batches.items())
            ],
            "memory_usage": [
                {"type": kind, "id": number, "byte_size": size}
                for (kind, number), size in sorted(self.memory.items())
            ],
        }


def summed(parts: Iterable[ModelStatistics]) -> list[ModelStatistics]:
    """One for each version, by name and number."""
    found: dict[tuple[str, str], ModelStatistics] = {}
    for part in parts:
        key = part.name, part.version
        found[key] = found[key] + part if key in found else part
    return sorted(found.values(), key=lambda one: (one.name, len(one.version), one.version))


class _Addable(Protocol):
    def __add__(self: A, other: A, /) -> A: ...


A = TypeVar("A", bound=_Addable)
K = TypeVar("K", bound=Hashable)


def _sum(one: Mapping[K, A], other: Mapping[K, A]) -> dict[K, A]:
    total = dict(one)
    for key, value in other.items():
        total[key] = total[key] + value if key in total else value
    return total


def _sum_all(one: Mapping[K, Durations], other: Mapping[K, Durations]) -> dict[K, Durations]:
    keys = [*one, *(key for key in other if key not in one)]
    return {key: _sum(one.get(key, {}), other.get(key, {})) for key in keys}


def _plain(durations: Durations, names: Iterable[str]) -> dict[str, dict[str, int]]:
    found = {name: durations.get(name, Duration()) for name in names}
    return {name: {"count": one.count, "ns": one.ns} for name, one in found.items()}

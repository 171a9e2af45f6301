"""What one gateway says of its pools, and the sum over several."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import orjson

MAX_REPORT_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class PoolLoad:
    """Work of one pool."""

    queued: float = 0.0
    """Requests that wait: held ones, and items that wait in a gateway."""
    in_flight: float = 0.0
    """Items under way in inference, on average."""
    queue_wait_seconds: float = 0.0
    """How long the one that waits now has waited that came first."""

    def __add__(self, other: PoolLoad) -> PoolLoad:
        return PoolLoad(
            self.queued + other.queued,
            self.in_flight + other.in_flight,
            max(self.queue_wait_seconds, other.queue_wait_seconds),
        )


@dataclass(frozen=True, slots=True)
class Report:
    """The pools of one gateway; `gateway` tells it from its peers."""

    gateway: str
    pools: Mapping[str, PoolLoad]

    def encode(self) -> bytes:
        """As JSON, for a peer."""
        pools = {name: asdict(load) for name, load in self.pools.items()}
        return orjson.dumps({"gateway": self.gateway, "pools": pools})


def decode_report(data: bytes) -> Report:
    """Inverse of `Report.encode`. Raises ValueError."""
    match orjson.loads(data):
        case {"gateway": str(gateway), "pools": dict(pools)}:
            return Report(gateway, {name: _decode_load(load) for name, load in pools.items()})
    raise ValueError("not a report of a gateway")


def _decode_load(content: Any) -> PoolLoad:
    match content:
        case {
            "queued": float() | int() as queued,
            "in_flight": float() | int() as in_flight,
            "queue_wait_seconds": float() | int() as wait,
        }:
            numbers = (float(queued), float(in_flight), float(wait))
            if all(math.isfinite(number) and number >= 0 for number in numbers):
                return PoolLoad(*numbers)
    raise ValueError("not the load of a pool")


def summed(own: Report, peers: Iterable[Report]) -> tuple[dict[str, PoolLoad], int]:
    """Loads by pool, and over how many gateways. A gateway that was reached at several addresses, this one
    too, counts once."""
    reports = {report.gateway: report for report in peers} | {own.gateway: own}
    pools: dict[str, PoolLoad] = {}
    for report in reports.values():
        for name, load in report.pools.items():
            pools[name] = pools.get(name, PoolLoad()) + load
    return pools, len(reports)


def encode_sum(pools: Mapping[str, PoolLoad], answered: int, missing: int) -> bytes:
    """The answer to an autoscaler."""
    loads = {
        name: {
            "queued": round(load.queued),
            "in_flight": round(load.in_flight, 3),
            "queue_wait_seconds": round(load.queue_wait_seconds, 3),
        }
        for name, load in sorted(pools.items())
    }
    return orjson.dumps({"pools": loads, "gateways": {"answered": answered, "missing": missing}})

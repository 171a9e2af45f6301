"""Which pool an address of inference belongs to, and which pools have a model."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

DEFAULT_POOL = "default"

_POOL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_MARK = "-inference-"


def split_address(address: str) -> tuple[str, str]:
    """Pool and `host:port` of `[pool=]host:port`.

    Without the prefix the pool is what follows `-inference-` in the first label of the host name, as the
    chart names its Services, else `default`. Raises ValueError for a pool that is no DNS label.
    """
    pool, given, rest = address.partition("=")
    if given:
        if _POOL.fullmatch(pool) is None:
            raise ValueError(f"'{pool}' is no name of a pool: lower-case letters, digits and '-'")
        return pool, rest
    label = address.partition(":")[0].partition(".")[0]
    pool = label.rpartition(_MARK)[2] if _MARK in label else ""
    return (pool if _POOL.fullmatch(pool) else DEFAULT_POOL), address


def pool_addresses(addresses: str) -> list[tuple[str, str]]:
    """`split_address` of each of a list with commas between. Raises ValueError."""
    return [split_address(part.strip()) for part in addresses.split(",") if part.strip()]


class PoolModels:
    """Which pools have a model, or had it when they last had an endpoint."""

    def __init__(self, pools: Sequence[str]) -> None:
        self.pools = tuple(dict.fromkeys(pools)) or (DEFAULT_POOL,)
        self._models: dict[str, frozenset[str]] = {}

    def learn(self, pool: str, models: Iterable[str]) -> None:
        """All endpoints that a pool has now say that these are their models."""
        found = frozenset(models)
        if found:
            self._models[pool] = found

    def of(self, model: str) -> Sequence[str]:
        """The pools that a request for the model counts for: those that have it; where none is known to, each
        that no endpoint has ever spoken for, since it may be the one; else `default`, or all."""
        found = [pool for pool in self.pools if model in self._models.get(pool, ())]
        found = found or [pool for pool in self.pools if pool not in self._models]
        if not found:
            found = [DEFAULT_POOL] if DEFAULT_POOL in self.pools else list(self.pools)
        return found

    def spread(self, by_model: Mapping[str, float]) -> dict[str, float]:
        """Sums by pool of numbers by model; each counts in full for every pool of its model."""
        sums = dict.fromkeys(self.pools, 0.0)
        for model, amount in by_model.items():
            for pool in self.of(model):
                sums[pool] += amount
        return sums

"""Looks at the work of the inference pools again and again, and shows it."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

import structlog

from trireme_common.stage_state import StageState
from trireme_gateway.holding.queue import HoldQueue
from trireme_gateway.hop.answer_times import EndpointPace
from trireme_gateway.hop.calls import Leg
from trireme_gateway.scaling.flight import Sample, Window
from trireme_gateway.scaling.pools import PoolModels
from trireme_gateway.scaling.report import PoolLoad

EVERY_SECONDS = 0.5

logger = structlog.get_logger(__name__)


class WorkOfEndpoint(Protocol):
    """What the hop has under way to one endpoint of inference."""

    @property
    def state(self) -> StageState | None: ...

    @property
    def legs(self) -> Iterable[Leg]:
        """Parts of calls that wait or were sent, and are not answered in full."""

    @property
    def items_sent(self) -> int:
        """Since the process began."""

    @property
    def pace(self) -> EndpointPace: ...


Endpoints = Callable[[], Iterable[tuple[str, WorkOfEndpoint]]]
"""Every endpoint of inference with its pool, connected or not."""

Show = Callable[[Mapping[str, PoolLoad], Mapping[str, int]], None]
"""Takes loads by pool and items in flight by model."""


class Sampler:
    """Belongs to one event loop. `models` names all that are known, so that each is shown with 0 too."""

    def __init__(
        self,
        pools: PoolModels,
        endpoints: Endpoints,
        held: HoldQueue,
        models: Callable[[], Iterable[str]],
        show: Show,
        *,
        window_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pools = pools
        self._endpoints = endpoints
        self._held = held
        self._models = models
        self._show = show
        self._clock = clock
        self._windows = {pool: Window(window_seconds) for pool in pools.pools}
        self._sent: dict[WorkOfEndpoint, int] = {}
        self._shown: set[str] = set()

    async def run(self) -> None:
        """Looks until cancelled."""
        while True:
            try:
                self.look()
            except Exception:  # an autoscaler that hears nothing more would take the pools away
                logger.exception("scaling_look_failed")
            await asyncio.sleep(EVERY_SECONDS)

    def look(self) -> None:
        """One look: takes a sample of every pool and shows what is known now."""
        now = self._clock()
        found = _Found()
        sent: dict[WorkOfEndpoint, int] = {}
        for pool, endpoint in self._endpoints():
            sent[endpoint] = endpoint.items_sent
            found.take(pool, endpoint, sent[endpoint] - self._sent.get(endpoint, 0))
        self._sent = sent
        for pool, models in found.models.items():
            self._pools.learn(pool, models)
        held = self._pools.spread(self._held.take_peaks())
        for pool in self._pools.pools:
            self._windows[pool].add(now, found.sample(pool, int(held[pool])))
        waits = self._waits(now, found)
        loads = {
            pool: PoolLoad(window.queued, window.in_flight, waits[pool])
            for pool, window in self._windows.items()
        }
        self._shown |= found.in_flight.keys() | set(self._models())
        self._show(loads, {model: found.in_flight[model] for model in self._shown})

    def _waits(self, now: float, found: _Found) -> dict[str, float]:
        """Seconds that the request has waited that waits longest, by pool."""
        since = dict(found.waiting_since)
        for model, started in self._held.oldest().items():
            for pool in self._pools.of(model):
                since[pool] = min(since.get(pool, now), started)
        return {pool: max(0.0, now - since.get(pool, now)) for pool in self._pools.pools}


class _Found:
    """What one look finds, by pool."""

    def __init__(self) -> None:
        self.models: defaultdict[str, set[str]] = defaultdict(set)
        self.waiting_since: dict[str, float] = {}
        self.in_flight: Counter[str] = Counter()
        self._sent: Counter[str] = Counter()
        self._busy: defaultdict[str, float] = defaultdict(float)
        self._under_way: Counter[str] = Counter()
        self._waiting: Counter[str] = Counter()

    def take(self, pool: str, endpoint: WorkOfEndpoint, sent: int) -> None:
        """Counts the work of one endpoint, which was sent so many items since the look before."""
        self._sent[pool] += sent
        self._busy[pool] += sent * (endpoint.pace.seconds or 0.0)
        if endpoint.state is not None:
            self.models[pool].update(model.name for model in endpoint.state.models)
        for leg in endpoint.legs:
            if leg.sent:
                self._under_way[pool] += leg.remaining
                self.in_flight[leg.key[0]] += leg.remaining
            else:
                self._waiting[pool] += leg.remaining
                self.waiting_since[pool] = min(self.waiting_since.get(pool, leg.started), leg.started)

    def sample(self, pool: str, held: int) -> Sample:
        sent = self._sent[pool]
        seconds = self._busy[pool] / sent if sent else 0.0
        return Sample(sent, seconds, self._under_way[pool], held + self._waiting[pool])

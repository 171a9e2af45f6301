"""Calls of one stage: each to one endpoint, and to another one where that is needed.

The adapter around the pure parts: `outlier`, `hedge`, `budget` and `answer_times` decide, `pool`,
`warden` and `repeats` do what they say. A call costs one timer, for its hedge.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import structlog

from trireme_common.errors import Code, TriremeError
from trireme_common.stage_state import StageState
from trireme_common.stage_stream import cancel_and_wait
from trireme_gateway.hop.budget import RetryBudget
from trireme_gateway.hop.calls import HopCall, Leg
from trireme_gateway.hop.discovery import Discovery, system_resolve
from trireme_gateway.hop.endpoint import Connect, Endpoint
from trireme_gateway.hop.hedge import HedgeTokens
from trireme_gateway.hop.learning import Learning
from trireme_gateway.hop.outlier import OutlierPolicy
from trireme_gateway.hop.pool import EndpointPool
from trireme_gateway.hop.ports import (
    HopItem,
    HopObserver,
    Key,
    NoObserver,
    Resolve,
    Taker,
    UnansweredError,
    by_request,
    requests_of,
)
from trireme_gateway.hop.repeats import Repeats
from trireme_gateway.hop.warden import EVERY_SECONDS, Warden

logger = structlog.get_logger(__name__)

_LATE_SECONDS = 0.1
_EARLY_SECONDS = 0.001
_URGENT_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class UpstreamPolicy:
    """What a hop may do for a call beyond asking once."""

    resolve_seconds: float = 5.0
    hedge_fraction: float = 0.05
    """Most hedges a call; 0 hedges nothing."""
    retry_fraction: float = 0.2
    """Most repeats a call, a reserve aside; 0 repeats nothing."""
    outlier: OutlierPolicy = field(default_factory=OutlierPolicy)


class StageClient:
    """Sends calls to the endpoint with the least outstanding work among those that have the version.

    Each address is `host:port`; a host name is asked again every `resolve_seconds`, and every
    address it resolves to is an endpoint of its own, to which `connect` makes the way. While somebody
    waits for an endpoint, as `urgent` says, names are asked every second.
    """

    def __init__(
        self,
        stage: str,
        connect: Connect,
        addresses: Sequence[str],
        *,
        on_change: Callable[[], None],
        policy: UpstreamPolicy | None = None,
        observer: HopObserver | None = None,
        resolve: Resolve = system_resolve,
        urgent: Callable[[], bool] = lambda: False,
        by_request: bool = False,
    ) -> None:
        """`by_request`: requests share no call, because the endpoints take each one by itself."""
        self.stage = stage
        self._connect = connect
        self._on_change = on_change
        self._urgent = urgent
        self._by_request = by_request
        self._policy = policy or UpstreamPolicy()
        self._observer = observer or NoObserver()
        self._discovery = Discovery(addresses, resolve)
        self.learning = Learning(self._policy.outlier)
        self._budget = RetryBudget(fraction=self._policy.retry_fraction)
        self._tokens = HedgeTokens(self._policy.hedge_fraction)
        self._pool = EndpointPool(self._make, self._turned)
        self._repeats = Repeats(
            stage, self._pool.choose, self._budget, self._tokens, self._observer, self._watch
        )
        self._warden = Warden(
            stage, self._pool, self._policy.outlier, self.learning, self._observer, self._ejected
        )
        self._tasks: list[asyncio.Task[None]] = []
        self._closing = False

    def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._tasks = [
            asyncio.create_task(self._resolve_forever()),
            asyncio.create_task(self._tend_forever()),
        ]

    async def close(self) -> None:
        """Closes every stream; calls under way fail as BACKEND_UNAVAILABLE."""
        self._closing = True
        for task in self._tasks:
            await cancel_and_wait(task)
        await self._pool.close()

    def states(self) -> list[StageState]:
        """What each connected endpoint that is not about to leave says of itself."""
        return self._pool.states()

    def replicas(self) -> list[Endpoint]:
        """Connected endpoints that are not about to leave."""
        return [endpoint for endpoint in self._pool if endpoint.stream.usable]

    def known(self) -> list[Endpoint]:
        """Every endpoint, connected or not."""
        return list(self._pool)

    @property
    def endpoints(self) -> int:
        """Endpoints known, connected or not."""
        return len(self._pool)

    @property
    def idle(self) -> bool:
        """Whether nothing waits and nothing is under way."""
        return not any(endpoint.exchange.outstanding for endpoint in self._pool)

    def send(self, key: Key, items: Sequence[HopItem], taker: Taker) -> None:
        """As `Hop.send`. Items have no side effects, so what a stream left unanswered is asked elsewhere."""
        now = time.monotonic()
        if self._by_request:
            for part in by_request(items):
                self._spread(key, [part], taker, now)
        elif self._pool.sole(key):
            self._spread(key, [items], taker, now)
        else:
            self._spread(key, by_request(items), taker, now)

    def _spread(self, key: Key, parts: Sequence[Sequence[HopItem]], taker: Taker, now: float) -> None:
        for endpoint, items in self._pool.spread(key, parts, now, self.learning.share(key)):
            call = HopCall(key, items, taker, self)
            self._budget.called(now, requests_of(items))
            self._tokens.called()
            if endpoint is None:
                nobody = f"no {self.stage} endpoint can take the request now"
                call.fail(UnansweredError(Code.BACKEND_UNAVAILABLE, nobody), items, now)
            else:
                endpoint.send(call, items, now)
                self._watch(call, now)

    def _watch(self, call: HopCall, now: float) -> None:
        """A hedge follows if there is no answer."""
        delay = self.learning.hedge_delay(call.key)
        # One that is given up at its deadline has waited as long as it could; timers may be a little early.
        soonest = min([item.request.deadline for item in call.items]) - now - _EARLY_SECONDS
        call.patience = min(delay, soonest)
        call.timer = self._loop.call_later(delay, self._overdue, call, now + delay)

    def withdraw(self, items: Sequence[HopItem]) -> None:
        """As `Hop.withdraw`."""
        now = time.monotonic()
        calls: dict[HopCall, list[HopItem]] = {}
        for item in items:
            if item.call is not None:
                calls.setdefault(item.call, []).append(item)
        for call, withdrawn in calls.items():
            call.withdraw(withdrawn, now)

    def _overdue(self, call: HopCall, due: float) -> None:
        """The call waited for the hedge delay."""
        now = time.monotonic()
        if now > due + _LATE_SECONDS:  # this process was slow: what came meanwhile is to be read first
            call.timer = self._loop.call_later(0.01, self._overdue, call, now + 0.01)
        else:
            self._repeats.hedge(call, now)

    # As owner of the calls

    def over(self, call: HopCall, now: float) -> None:
        """Takes back what is still under way of a call that nobody waits for."""
        if call.timer is not None:
            call.timer.cancel()
        for leg in call.legs:
            leg.carrier.drop(leg, now)
        call.legs.clear()
        if call.hedge is not None:
            won = not call.hedge.remaining
            self._observer.hedged(("won" if won else "lost") if call.answered else "failed")

    # As owner of the endpoints

    def finished(self, legs: Sequence[Leg], now: float) -> None:
        """Legs that have all their answers; of each model version the longest wait is learnt."""
        first: dict[Key, float] = {}
        for leg in legs:
            leg.call.legs.remove(leg)
            if leg.sound and leg.started < first.get(leg.key, now):
                first[leg.key] = leg.started
        for key, started in first.items():
            self.learning.answered(key, now - started)

    def changed(self, endpoint: Endpoint) -> None:
        """An endpoint said what it can do, came, went, or is trusted again."""
        self._pool.refresh()
        self._on_change()
        if endpoint.stream.state is not None and endpoint.stream.state.draining:
            self._repeats.evacuate(endpoint, time.monotonic(), sent_too=False)

    def broke(self, endpoint: Endpoint, legs: list[Leg], error: TriremeError | None) -> None:
        """An endpoint went away with these legs unanswered, or refused them."""
        now = time.monotonic()
        self._budget.note_under_way(now, sum(requests_of(leg.call.missing()) for leg in legs))
        self._repeats.fail_over(legs, now, error, give_up=self._closing)

    def _make(self, address: str) -> Endpoint:
        endpoint = Endpoint(address, self._connect, self._policy.outlier, self)
        endpoint.name = self._discovery.name_of(address)
        return endpoint

    def _turned(self, endpoint: Endpoint) -> None:
        self._on_change()
        if endpoint.leaving:
            self._repeats.evacuate(endpoint, time.monotonic(), sent_too=False)

    def _ejected(self, endpoint: Endpoint, now: float) -> None:
        self._pool.refresh()
        legs = endpoint.exchange.legs
        self._budget.note_under_way(now, sum(requests_of(leg.call.missing()) for leg in legs))
        self._repeats.evacuate(endpoint, now, sent_too=True)

    async def _resolve_forever(self) -> None:
        while True:
            try:
                self._pool.adopt(await self._discovery.look())
            except Exception:  # a look-out that ended would never see another endpoint
                logger.exception("discovery_failed", stage=self.stage)
            seconds = self._policy.resolve_seconds
            if self._urgent():
                seconds = min(seconds, _URGENT_SECONDS)
            await asyncio.sleep(seconds * random.uniform(0.8, 1.2))

    async def _tend_forever(self) -> None:
        while True:
            try:
                self._warden.look(time.monotonic())
            except Exception:  # as above
                logger.exception("warden_failed", stage=self.stage)
            await asyncio.sleep(EVERY_SECONDS)

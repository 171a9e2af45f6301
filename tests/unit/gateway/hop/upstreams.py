"""A stage's client over real endpoints, and what it tells its observer."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from tests.support.hops import HopAnswer, ask
from tests.support.stages import METHOD, EchoHandler, RunningStage, stage_server, until
from trireme_gateway.hop.outlier import OutlierPolicy
from trireme_gateway.hop.pending import Pending
from trireme_gateway.hop.stage_client import StageClient, UpstreamPolicy
from trireme_gateway.hop.stream import by_stream

NEVER = OutlierPolicy(silence_seconds=600)
QUICK = OutlierPolicy(silence_seconds=0.2, unlearned_seconds=0.2, ejection_seconds=0.2)
BY_FAILURES = OutlierPolicy(silence_seconds=600, ejection_seconds=0.2)


@dataclass
class Notes:
    """HopObserver that remembers."""

    hedges: Counter[str] = field(default_factory=Counter)
    retries: int = 0
    ejections: Counter[str] = field(default_factory=Counter)
    states: dict[str, int] = field(default_factory=dict)

    def wrote_message(self, items: int) -> None: ...

    def hedged(self, result: str) -> None:
        self.hedges[result] += 1

    def retried(self) -> None:
        self.retries += 1

    def ejected(self, reason: str) -> None:
        self.ejections[reason] += 1

    def endpoints(self, states: Mapping[str, int]) -> None:
        self.states = dict(states)


class Names:
    """`Resolve` whose answer a test sets."""

    def __init__(self, *stages: RunningStage) -> None:
        self.stages = list(stages)

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        return [stage.address for stage in self.stages]


@dataclass
class Upstream:
    client: StageClient
    notes: Notes
    names: Names

    async def ask(self, *payloads: bytes, seconds: float = 30) -> HopAnswer:
        return await ask(self.client, ("echo", "1"), payloads, time.monotonic() + seconds)

    def begin(self, *payloads: bytes) -> asyncio.Task[HopAnswer]:
        return asyncio.create_task(self.ask(*payloads))


@asynccontextmanager
async def upstream(
    *stages: RunningStage,
    outlier: OutlierPolicy = NEVER,
    hedge_fraction: float = 0.0,
    retry_fraction: float = 0.2,
    max_in_flight: int = 2,
) -> AsyncIterator[Upstream]:
    notes, names = Notes(), Names(*stages)
    client = StageClient(
        "inference",
        by_stream("inference", METHOD, lambda: Pending(max_in_flight=max_in_flight, max_items=8), notes),
        ["stage:1"],
        on_change=lambda: None,
        policy=UpstreamPolicy(
            resolve_seconds=0.02,
            hedge_fraction=hedge_fraction,
            retry_fraction=retry_fraction,
            outlier=outlier,
        ),
        observer=notes,
        resolve=names,
    )
    client.start()
    try:
        await until(lambda: len(client.states()) == len(stages))
        yield Upstream(client, notes, names)
    finally:
        await client.close()


@asynccontextmanager
async def two() -> AsyncIterator[tuple[RunningStage, RunningStage]]:
    async with stage_server(EchoHandler()) as first, stage_server(EchoHandler()) as second:
        yield first, second


def handler(stage: RunningStage) -> EchoHandler:
    assert isinstance(stage.handler, EchoHandler)
    return stage.handler


async def arrival(call: asyncio.Task[HopAnswer], stage: RunningStage) -> None:
    """Waits until the call is at `stage`, or answered by another."""
    await until(lambda: call.done() or bool(handler(stage).payloads))


async def stuck_call(up: Upstream, stage: RunningStage) -> asyncio.Task[HopAnswer]:
    """A call under way at `stage`, which answers nothing for now; the others answer."""
    handler(stage).gate.clear()
    async with asyncio.timeout(10):
        while True:
            call = up.begin(b"stuck")
            await arrival(call, stage)
            if not call.done():
                return call

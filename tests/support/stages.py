"""A stage server in this process: the real servicer over a handler that a test directs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from tests.support.catalogs import state
from trireme_common.errors import TriremeError
from trireme_common.lacking import Lacking
from trireme_common.orders import Order
from trireme_common.stage_servicer import StageServicer
from trireme_common.stage_state import StageState
from trireme_common.stage_stream import Emit, Item, Outcome

SERVICE = "trireme.v1.InferenceService"
METHOD = f"/{SERVICE}/Infer"


class StateBoard:
    """StateSource whose state a test sets."""

    def __init__(self, first: StageState | None = None) -> None:
        self.state = first or state("echo")
        self.listeners: set[Callable[[StageState], None]] = set()
        self.orders: list[Order] = []
        self.lacking: list[Lacking] = []

    def subscribe(self, listener: Callable[[StageState], None]) -> Callable[[], None]:
        self.listeners.add(listener)
        return lambda: self.listeners.discard(listener)

    def obey(self, orders: Sequence[Order]) -> None:
        self.orders.extend(orders)

    def others_lack(self, versions: Lacking) -> None:
        self.lacking.append(versions)

    def publish(self, found: StageState) -> None:
        self.state = found
        for listener in tuple(self.listeners):
            listener(found)


Answer = Callable[[bytes], "bytes | TriremeError"]


class EchoHandler:
    """Answers every payload with itself, or as `answer` says, once `gate` is open."""

    def __init__(self, answer: Answer = lambda payload: payload) -> None:
        self.answer = answer
        self.gate = asyncio.Event()
        self.gate.set()
        self.messages: list[list[Item]] = []
        self.arrived = asyncio.Event()

    @property
    def payloads(self) -> list[bytes]:
        return [item.payload for message in self.messages for item in message]

    async def handle(self, model: str, version: str, items: Sequence[Item], emit: Emit) -> None:
        self.messages.append(list(items))
        self.arrived.set()
        await self.gate.wait()
        outcomes = []
        for item in items:
            answer = self.answer(item.payload)
            if isinstance(answer, TriremeError):
                outcomes.append(Outcome(item, error=answer, queue_us=1, compute_us=2))
            else:
                outcomes.append(Outcome(item, answer, queue_us=3, compute_us=4))
        emit(outcomes)


class RunningStage:
    """A server on a free port of this machine."""

    def __init__(self, handler: object, board: StateBoard, port: int = 0, method: str = METHOD) -> None:
        self.handler = handler
        self.board = board
        servicer = StageServicer(handler, board)  # type: ignore[arg-type]
        _, service, name = method.split("/")
        self._server = servicer.server("127.0.0.1", port, service, name)
        self.port = self._server.port
        self.address = f"127.0.0.1:{self.port}"

    async def start(self) -> None:
        await self._server.start()

    async def kill(self) -> None:
        """Breaks every stream at once."""
        await self._server.stop(drain_seconds=0, grace_seconds=0)

    async def stop(self, grace_seconds: float) -> None:
        await self._server.stop(drain_seconds=0, grace_seconds=grace_seconds)


@asynccontextmanager
async def stage_server(
    handler: object, board: StateBoard | None = None, method: str = METHOD
) -> AsyncIterator[RunningStage]:
    stage = RunningStage(handler, board or StateBoard(), method=method)
    await stage.start()
    try:
        yield stage
    finally:
        await stage.kill()


async def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    """Waits until `condition` holds; fails the test where it does not in time."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.002)

"""Many requests on their way through all hops, while endpoints answer, break, drain and stall as it comes.

Whatever happens, every request ends once and with what is its own, and nothing of it is left anywhere.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.catalogs import state
from trireme_common.errors import Code, TriremeError
from trireme_common.lacking import Lacking
from trireme_common.orders import Order
from trireme_common.payloads import MAX_PAYLOAD_BYTES
from trireme_common.stage_state import StageState
from trireme_gateway.context import RequestContext
from trireme_gateway.hop.endpoint import Endpoint
from trireme_gateway.hop.exchange import Exchange
from trireme_gateway.hop.pending import Pending
from trireme_gateway.hop.ports import Key, NoObserver
from trireme_gateway.hop.stage_client import StageClient, UpstreamPolicy
from trireme_gateway.relay import Outcomes, Relay
from trireme_protos.trireme.v1 import envelope_pb2

STAGES = ("preprocess", "inference", "postprocess")
SUFFIX = b"|preprocess|inference|postprocess"
KEYS: tuple[Key, ...] = (("a", "1"), ("b", "1"))
BOTH = state("a", "b")
STATES = (BOTH, BOTH, state("a"), state("a", "b", draining=True))
ERRORS = (Code.OVERLOADED, Code.INTERNAL, Code.BLANK_TEXT)
TOO_LARGE = bytes(MAX_PAYLOAD_BYTES + 1)


class SkippingLoop(asyncio.SelectorEventLoop):
    """An event loop whose timers come sooner, as often as the test says."""

    skipped = 0.0

    def time(self) -> float:
        return super().time() + self.skipped


class Station:
    """Way to an endpoint that does nothing by itself. An item's answer is the item and the stage's name."""

    def __init__(self, stage: str, max_items: int, listener: Endpoint) -> None:
        def pending() -> Pending:
            return Pending(max_in_flight=1, max_items=max_items)

        self.stage = stage
        self.state: StageState | None = None
        self.writable = True
        self.inbox: dict[int, bytes] = {}
        self.exchange = Exchange(
            stage,
            pending,
            listener.learning,
            NoObserver(),
            write=self.write,
            wake=self.wake,
            finished=listener.finished,
        )
        self._listener = listener

    @property
    def usable(self) -> bool:
        return self.state is not None and not self.state.draining

    def serves(self, key: Key) -> bool:
        return self.usable and key in [(model.name, model.version) for model in (self.state or BOTH).models]

    def tell(self, orders: Sequence[Order]) -> None: ...

    def tell_lacking(self, versions: Lacking) -> None: ...

    async def run(self) -> None:
        await asyncio.Event().wait()

    def become(self, found: StageState | None) -> None:
        self.state = found
        self._listener.changed()
        self.wake()

    def wake(self) -> None:
        asyncio.get_running_loop().call_soon(self.write)

    def write(self) -> None:
        if self.state is None or not self.writable:
            return
        for data in self.exchange.messages():
            message = envelope_pb2.Envelope.FromString(data)
            for number in message.cancels:
                self.inbox.pop(number, None)
            for item in message.items:
                mine, *passed = item.payload.decode().split("|")
                assert tuple(passed) == STAGES[: STAGES.index(self.stage)]
                assert mine.startswith(item.request_id + ".")
                self.inbox[item.id] = item.payload

    def answer(self, chance: random.Random) -> None:
        """Some of what is here, in any order, some of it badly."""
        share, bad = chance.choice((0.2, 0.5, 1.0)), chance.choice((0.0, 0.0, 0.3))
        reply = envelope_pb2.Reply()
        for number in chance.sample(list(self.inbox), round(share * len(self.inbox))):
            payload = self.inbox.pop(number)
            made = reply.results.add(id=number)
            if chance.random() < bad:
                made.failure.code, made.failure.detail = chance.choice(ERRORS).value, payload.decode()
            else:
                made.payload = payload + b"|" + self.stage.encode()
        now = time.monotonic()
        self._listener.spoke(now)
        self.exchange.receive([*reply.results, *reply.results], now)  # the second time it says nothing new

    def fall(self) -> None:
        """The connection breaks."""
        legs = self.exchange.clear()
        self.inbox.clear()
        if self.state is not None:
            self.become(None)
        if legs:
            self._listener.broke(legs)


@dataclass
class Journey:
    payloads: list[bytes]
    task: asyncio.Task[Outcomes]
    left: bool = False


class World:
    """Three stages and who asks them."""

    def __init__(self, chance: random.Random) -> None:
        self.journeys: list[Journey] = []
        self._chance = chance
        self._stations: list[Station] = []
        self._clients = [self._client(stage) for stage in STAGES]
        self._relay = Relay(list(zip(STAGES, self._clients, strict=True)), lambda stage, seconds: None)

    def _client(self, stage: str) -> StageClient:
        chance = self._chance
        max_items = chance.choice((2, 8, 64))

        def connect(address: str, listener: Endpoint) -> Station:
            self._stations.append(Station(stage, max_items, listener))
            return self._stations[-1]

        async def resolve(host: str, port: int) -> Sequence[str]:
            return [f"{host}:{port}"]

        hosts = [f"host{number}:1" for number in range(chance.choice((1, 2, 3)))]
        policy = UpstreamPolicy(hedge_fraction=5.0, retry_fraction=chance.choice((0.2, 10.0)))
        return StageClient(stage, connect, hosts, on_change=lambda: None, policy=policy, resolve=resolve)

    async def open(self) -> None:
        for client in self._clients:
            client.start()
        while not all(client.endpoints for client in self._clients):
            await asyncio.sleep(0)
        self.mend()

    async def close(self) -> None:
        for client in self._clients:
            await client.close()

    def mend(self) -> None:
        """Every endpoint serves again."""
        for station in self._stations:
            station.writable = True
            station.become(BOTH)

    # What may happen, each by chance of its own

    def ask(self, chance: random.Random) -> None:
        for _ in range(chance.choice((1, 1, 3))):
            name = f"r{len(self.journeys)}"
            payloads = [f"{name}.{number}".encode() for number in range(chance.choice((1, 1, 2, 20)))]
            if chance.random() < 0.1:
                payloads[-1] = TOO_LARGE
            context = RequestContext(name, time.monotonic() + chance.choice((0.3, 1e4, 1e9)))
            task = asyncio.create_task(self._relay.run(chance.choice(KEYS), payloads, context))
            self.journeys.append(Journey(payloads, task))

    def answer(self, chance: random.Random) -> None:
        chance.choice(self._stations).answer(chance)

    def leave(self, chance: random.Random) -> None:
        under_way = [journey for journey in self.journeys if not journey.task.done()]
        for journey in under_way and chance.choices(under_way, k=2):
            journey.left = True
            journey.task.cancel()

    def fall(self, chance: random.Random) -> None:
        chance.choice(self._stations).fall()

    def say(self, chance: random.Random) -> None:
        chance.choice(self._stations).become(chance.choice(STATES))

    def stall(self, chance: random.Random) -> None:
        station = chance.choice(self._stations)
        station.writable = not station.writable
        station.wake()

    def skip(self, chance: random.Random) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, SkippingLoop)
        loop.skipped += chance.choice((0.03, 0.11, 0.5))

    # What holds

    def check(self) -> None:
        """The books of every endpoint agree with the calls."""
        for station in self._stations:
            legs = station.exchange.legs
            assert station.exchange.outstanding == sum(leg.remaining for leg in legs)
            for leg in legs:
                assert leg in leg.call.legs
                assert leg.call.remaining == len(leg.call.missing()) > 0
                assert leg.call.uncovered() == []

    async def end(self) -> None:
        """Everyone gets an answer once every endpoint gives some, and nothing is left."""
        self.mend()
        for _ in range(2000):
            if all(journey.task.done() for journey in self.journeys):
                break
            await asyncio.sleep(0)
            for station in self._stations:
                station.answer(self._chance)
        await asyncio.sleep(0.001)
        assert [station.exchange.outstanding for station in self._stations] == [0] * len(self._stations)
        assert not any(station.exchange.legs or station.inbox for station in self._stations)
        for journey in self.journeys:
            assert journey.task.done()
            _check_outcomes(journey)


def _check_outcomes(journey: Journey) -> None:
    if journey.task.cancelled():
        assert journey.left
        return
    failure = journey.task.exception()
    if failure is not None:
        assert isinstance(failure, TriremeError)
        assert failure.code in (Code.DEADLINE_EXCEEDED, Code.BACKEND_UNAVAILABLE)
        return
    for payload, outcome in zip(journey.payloads, journey.task.result(), strict=True):
        if isinstance(outcome, bytes):
            assert outcome == payload + SUFFIX
        elif outcome.code in ERRORS:
            assert outcome.detail.split("|")[0] == payload.decode()
        else:
            assert outcome.code is (
                Code.PAYLOAD_TOO_LARGE if payload is TOO_LARGE else Code.BACKEND_UNAVAILABLE
            )


async def _live(seed: int, events: Sequence[tuple[str, int]]) -> None:
    world = World(random.Random(seed))
    await world.open()
    for event, number in events:
        chance = random.Random(number)
        getattr(world, event)(chance)
        if chance.random() < 0.7:
            await asyncio.sleep(0)
        world.check()
    await world.end()
    world.ask(random.Random(seed))  # no place in a queue was lost
    await world.end()
    await world.close()


EVENTS = ("ask", "ask", "ask", "answer", "answer", "answer", "leave", "fall", "say", "stall", "skip", "skip")


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 1000),
    st.lists(st.tuples(st.sampled_from(EVENTS), st.integers(0, 1000)), min_size=20, max_size=80),
)
def test_every_request_ends_once_with_its_own_answer_and_leaves_nothing_behind(
    seed: int, events: Sequence[tuple[str, int]]
) -> None:
    with asyncio.Runner(loop_factory=SkippingLoop) as runner:
        runner.run(_live(seed, events))

"""A stage's client over a foreign server's own kind of server, on this machine."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import numpy as np
import pytest

from tests.support import hops
from tests.support.stages import until
from tests.support.told_server import Told
from tests.support.triton_server import BAD, FAILING, RunningTriton, TritonModels, triton_server
from trireme_common.errors import Code, TriremeError
from trireme_common.orders import Order
from trireme_common.stage_state import State
from trireme_common.stage_stream import cancel_and_wait
from trireme_common.tensors import Tensor, decode_tensors, encode_tensors
from trireme_gateway.hop.calls import Leg
from trireme_gateway.hop.oip.connection import MOST_MISSES, by_calls
from trireme_gateway.hop.oip.ports import IndexEntry
from trireme_gateway.hop.outlier import OutlierPolicy
from trireme_gateway.hop.ports import NoObserver
from trireme_gateway.hop.stage_client import StageClient, UpstreamPolicy

PATIENCE_SECONDS = 20.0


def item(first: float) -> bytes:
    return encode_tensors([Tensor.of("x", np.array([[first, 1, 1, 1]], np.float32))])


def first_of(outcome: bytes | TriremeError) -> float:
    assert isinstance(outcome, bytes), outcome
    return float(decode_tensors(outcome)[0].array()[0, 0])


def code_of(outcome: bytes | TriremeError) -> Code:
    assert isinstance(outcome, TriremeError)
    return outcome.code


async def ask(client: StageClient, *firsts: float, version: str = "1", seconds: float = 20.0) -> list[float]:
    payloads = [item(first) for first in firsts]
    answer = await hops.ask(client, ("times", version), payloads, time.monotonic() + seconds)
    return [first_of(outcome) for outcome in answer.outcomes]


@asynccontextmanager
async def client_of(*servers: RunningTriton, connected: bool = True) -> AsyncIterator[StageClient]:
    client = StageClient(
        "inference",
        by_calls("inference", lambda: {"times": {"1": 2}}, NoObserver()),
        [server.address for server in servers],
        on_change=lambda: None,
        policy=UpstreamPolicy(outlier=OutlierPolicy(silence_seconds=60)),
        by_request=True,
    )
    client.start()
    try:
        if connected:
            await until(lambda: len(client.replicas()) == len(servers), PATIENCE_SECONDS)
        yield client
    finally:
        await client.close()


@pytest.mark.parametrize("indexed", [True, False])
async def test_a_server_says_what_it_has_and_answers(indexed: bool) -> None:
    async with (
        triton_server(TritonModels(indexed=indexed, max_batch_size=4)) as server,
        client_of(server) as client,
    ):
        ((model,),) = [state.models for state in client.states()]
        assert (model.name, model.version, model.state) == ("times", "1", State.READY)
        assert model.descriptor is not None
        assert [info.name for info in model.descriptor.inputs] == ["x"]
        assert await ask(client, 5, 6, 7) == [5, 6, 7]
        joined = [[3, 4]] if indexed else [[1, 4], [2, 4]]
        assert sorted(server.models.shapes) == joined


async def test_versions_are_asked_by_number() -> None:
    models = TritonModels({"times": {"1": "READY", "2": "READY", "3": "LOADING"}})
    async with triton_server(models) as server, client_of(server) as client:
        assert await ask(client, 5, version="2") == [10]
        with pytest.raises(TriremeError) as refused:
            await ask(client, 5, version="3")
        assert refused.value.code is Code.BACKEND_UNAVAILABLE


async def test_one_bad_item_fails_alone_and_tells_no_secrets() -> None:
    async with triton_server(TritonModels(max_batch_size=8)) as server, client_of(server) as client:
        payloads = [item(1), item(BAD), item(FAILING), item(2)]
        answer = await hops.ask(client, ("times", "1"), payloads, time.monotonic() + 20)
        good, bad, failing, other = answer.outcomes
        assert [first_of(good), first_of(other)] == [1, 2]
        assert [code_of(bad), code_of(failing)] == [Code.INVALID_ARGUMENT, Code.MODEL_FAILED]
        assert str(bad) == "a row is bad"
        assert "secret" not in str(failing)


async def test_the_deadline_reaches_the_server_and_ends_the_call() -> None:
    async with triton_server() as server, client_of(server) as client:
        server.models.gate.clear()
        with pytest.raises(TriremeError) as late:
            await ask(client, 1, seconds=0.5)
        assert late.value.code is Code.DEADLINE_EXCEEDED
        (remaining,) = server.models.remaining
        assert remaining is not None
        assert remaining < 1  # grpc rounds it up
        await until(lambda: server.models.cancelled == 1)
        assert client.idle


async def test_a_caller_that_leaves_cancels_its_call() -> None:
    async with triton_server() as server, client_of(server) as client:
        server.models.gate.clear()
        call = asyncio.create_task(ask(client, 1))
        await until(lambda: bool(server.models.requests))
        call.cancel()
        await until(lambda: server.models.cancelled == 1)
        assert client.idle


async def test_a_trace_goes_along() -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    async with triton_server() as server, client_of(server) as client:
        await hops.ask(client, ("times", "1"), [item(1)], time.monotonic() + 20, traceparent=trace)
        assert ("traceparent", trace) in server.models.metadata


async def steady(client: StageClient, calls: int, callers: int = 8) -> list[float]:
    """Asks that many times; returns what came back."""
    answers: list[float] = []

    async def one(numbers: Sequence[int]) -> None:
        for number in numbers:
            answers.extend(await ask(client, number))

    async with asyncio.TaskGroup() as group:
        for caller in range(callers):
            group.create_task(one(range(caller, calls, callers)))
    return sorted(answers)


async def test_a_server_that_dies_loses_nothing_while_another_lives() -> None:
    victim = RunningTriton()
    await victim.start()
    async with triton_server() as other, client_of(victim, other) as client:
        load = asyncio.create_task(steady(client, 600))
        await until(lambda: len(victim.models.requests) > 30)
        victim.models.gate.clear()  # some of it is under way there when it dies
        held = len(victim.models.requests)
        await until(lambda: len(victim.models.requests) > held)
        await victim.kill()
        assert await load == list(range(600))
        await until(lambda: len(client.replicas()) == 1)
        back = RunningTriton(port=victim.port)
        await back.start()
        try:
            await until(lambda: len(client.replicas()) == 2, PATIENCE_SECONDS)
            await steady(client, 50)
            assert back.models.requests
        finally:
            await back.kill()


async def test_what_one_server_refuses_another_is_asked() -> None:
    async with (
        triton_server(TritonModels(refusing=True)) as full,
        triton_server() as free,
        client_of(full, free) as client,
    ):
        assert [await ask(client, number) for number in range(8)] == [[number] for number in range(8)]
        assert full.models.requests
        assert len(client.replicas()) == 2


async def test_a_refusal_that_nobody_else_can_mend_is_said() -> None:
    async with triton_server(TritonModels(refusing=True)) as server, client_of(server) as client:
        with pytest.raises(TriremeError) as refused:
            await ask(client, 1)
        assert refused.value.code is Code.BACKEND_UNAVAILABLE
        assert "Exceeds maximum queue size" in refused.value.detail
        server.models.refusing = False
        assert await ask(client, 1) == [1]


async def test_a_server_that_is_no_longer_ready_gets_nothing_more() -> None:
    async with triton_server() as leaving, triton_server() as staying, client_of(leaving, staying) as client:
        leaving.models.ready = False
        await until(lambda: len(client.replicas()) == 1, PATIENCE_SECONDS)
        before = len(leaving.models.requests)
        assert await ask(client, *range(8)) == list(range(8))
        assert len(leaving.models.requests) == before
        leaving.models.ready = True
        await until(lambda: len(client.replicas()) == 2, PATIENCE_SECONDS)


async def test_a_model_that_comes_is_found() -> None:
    async with triton_server() as server, client_of(server) as client:
        server.models.versions["times"]["2"] = "READY"
        (endpoint,) = client.replicas()
        await until(lambda: endpoint.serves(("times", "2")), PATIENCE_SECONDS)
        assert await ask(client, 3, version="2") == [6]


async def test_orders_count_as_carried_out() -> None:
    order = Order(5, "times", unloaded=True)
    async with triton_server() as server, client_of(server) as client:
        (endpoint,) = client.replicas()
        endpoint.tell([order])
        await until(lambda: endpoint.state is not None and endpoint.state.orders == (order,))


async def test_a_server_that_is_not_there_is_waited_for() -> None:
    server = RunningTriton()
    async with client_of(server, connected=False) as client:
        assert client.replicas() == []
        await server.start()
        try:
            await until(lambda: len(client.replicas()) == 1, PATIENCE_SECONDS)
            assert await ask(client, 4) == [4]
        finally:
            await server.kill()


class Heard:
    """Listener that remembers the states."""

    def __init__(self, server: Told) -> None:
        self.connection = by_calls("inference", dict, NoObserver(), server.open)("nowhere:1", self)
        self.states: list[bool] = []

    def spoke(self, now: float) -> None: ...

    def finished(self, legs: Sequence[Leg], now: float) -> None: ...

    def broke(self, legs: list[Leg], error: TriremeError | None = None) -> None: ...

    def changed(self) -> None:
        self.states.append(self.connection.state is not None)


class Forgetful(Told):
    """Leaves some looks unanswered, those that begin at the second one."""

    def __init__(self, misses: int) -> None:
        super().__init__()
        self._misses = range(2, 2 + misses)

    async def index(self) -> list[IndexEntry]:
        found = await super().index()
        if self.looks in self._misses:
            raise TriremeError(Code.DEADLINE_EXCEEDED, "no answer")
        return found


@pytest.mark.parametrize(
    ("misses", "states"), [(MOST_MISSES - 1, [True]), (MOST_MISSES, [True, False, True])]
)
async def test_a_server_that_is_late_is_kept_until_it_is_so_too_often(
    misses: int, states: list[bool]
) -> None:
    server = Forgetful(misses)
    heard = Heard(server)
    running = asyncio.create_task(heard.connection.run())
    try:
        await until(lambda: server.looks > misses + 1 and heard.connection.usable, PATIENCE_SECONDS)
        assert heard.states == states
    finally:
        await cancel_and_wait(running)

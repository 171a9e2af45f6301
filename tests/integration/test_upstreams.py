"""Endpoints that are killed, stopped, slowed down, cut off and replaced, under load: nothing is lost."""

from __future__ import annotations

import asyncio
import itertools
import os
import re
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx
import psutil
import pytest

from tests.integration.test_platform_life import steady_load
from tests.support.hops import ask
from tests.support.platform import LOSSLESS, Platform, platform
from tests.support.stages import METHOD, EchoHandler, RunningStage, stage_server
from tests.support.stages import until as until_here
from tests.support.times_models import write_times
from trireme_common.errors import TriremeError
from trireme_common.healthcheck import serving
from trireme_gateway.hop.outlier import OutlierPolicy
from trireme_gateway.hop.pending import Pending
from trireme_gateway.hop.ports import NoObserver
from trireme_gateway.hop.stage_client import StageClient, UpstreamPolicy
from trireme_gateway.hop.stream import by_stream

STAGES = ("preprocess", "inference", "postprocess")
PATIENCE_SECONDS = 40
UNPROTECTED = UpstreamPolicy(
    hedge_fraction=0, retry_fraction=0, outlier=OutlierPolicy(silence_seconds=600, failures=10**6)
)


class Proxy:
    """TCP between the gateway and one stage: late by `delay_seconds`, or silent while `hole` is set."""

    def __init__(self, target: RunningStage) -> None:
        self.delay_seconds = 0.0
        self._through = asyncio.Event()
        self._through.set()
        self._target = target
        self._tasks: set[asyncio.Task[None]] = set()

    def cut(self) -> None:
        """From now on nothing passes, and no connection is closed."""
        self._through.clear()

    def mend(self) -> None:
        self._through.set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[str]:
        """The address to connect to."""
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        try:
            yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        finally:
            server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self._target.port)
        for source, sink in ((reader, back), (there, writer)):
            waiting: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
            for work in (self._take(source, waiting), self._give(waiting, sink)):
                task = asyncio.create_task(work)
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    async def _take(self, source: asyncio.StreamReader, waiting: asyncio.Queue[tuple[float, bytes]]) -> None:
        data = b"-"
        while data:
            try:
                data = await source.read(65536)
            except ConnectionError:
                data = b""
            waiting.put_nowait((time.monotonic() + self.delay_seconds / 2, data))

    async def _give(self, waiting: asyncio.Queue[tuple[float, bytes]], sink: asyncio.StreamWriter) -> None:
        try:
            while True:
                due, data = await waiting.get()
                await asyncio.sleep(due - time.monotonic())
                await self._through.wait()
                if not data:
                    return
                sink.write(data)
                await sink.drain()
        except ConnectionError:
            pass
        finally:
            sink.close()


@dataclass
class Answers:
    """What calls of a stage came to."""

    right: int = 0
    wrong: list[str] = field(default_factory=list)


@asynccontextmanager
async def steady_calls(client: StageClient, callers: int = 8, pause: float = 0.002) -> AsyncIterator[Answers]:
    """Asks without end from several callers; each question is another one, and its answer known."""
    answers = Answers()
    numbers = itertools.count()
    stop = asyncio.Event()

    async def caller() -> None:
        while not stop.is_set():
            payloads = [b"%d-%d" % (next(numbers), item) for item in range(2)]
            try:
                found = await ask(client, ("echo", "1"), payloads, time.monotonic() + PATIENCE_SECONDS)
            except TriremeError as error:
                answers.wrong.append(error.detail)
            else:
                if found.outcomes == payloads:
                    answers.right += 1
                else:
                    answers.wrong.append(str(found.outcomes))
            await asyncio.sleep(pause)

    async with asyncio.TaskGroup() as group:
        for _ in range(callers):
            group.create_task(caller())
        try:
            yield answers
        finally:
            stop.set()


@dataclass
class Pair:
    """Two endpoints of a stage, the first behind a proxy."""

    client: StageClient
    proxy: Proxy
    behind: EchoHandler
    direct: EchoHandler

    async def connected(self, endpoints: int = 2) -> None:
        await until_here(lambda: len(self.client.states()) == endpoints, PATIENCE_SECONDS)

    async def more(self, answers: Answers, count: int) -> None:
        """Waits for that many more right answers."""
        before = answers.right
        await until_here(lambda: answers.right >= before + count, PATIENCE_SECONDS)


@asynccontextmanager
async def pair(policy: UpstreamPolicy | None = None) -> AsyncIterator[Pair]:
    behind, direct = EchoHandler(), EchoHandler()
    async with stage_server(behind) as first, stage_server(direct) as second:
        proxy = Proxy(first)
        async with proxy.running() as address:
            client = StageClient(
                "inference",
                by_stream("inference", METHOD, lambda: Pending(max_in_flight=2, max_items=64), NoObserver()),
                [address, second.address],
                on_change=lambda: None,
                policy=policy,
            )
            client.start()
            try:
                found = Pair(client, proxy, behind, direct)
                await found.connected()
                yield found
            finally:
                await client.close()


async def test_a_slow_endpoint_loses_most_of_its_share() -> None:
    async with pair() as two, steady_calls(two.client) as answers:
        await two.more(answers, 300)
        assert len(two.behind.payloads) > 100  # as quick as the other, it has its share
        two.proxy.delay_seconds = 0.2
        await two.more(answers, 300)
        slow, quick = len(two.behind.payloads), len(two.direct.payloads)
        await two.more(answers, 1000)
        slow, quick = len(two.behind.payloads) - slow, len(two.direct.payloads) - quick
        assert slow < 0.1 * (slow + quick)
        two.proxy.delay_seconds = 0
        slow = len(two.behind.payloads)
        await until_here(lambda: len(two.behind.payloads) > slow + 100, PATIENCE_SECONDS)
    assert answers.wrong == []


async def test_an_endpoint_that_is_cut_off_and_comes_back_loses_nothing() -> None:
    async with pair() as two, steady_calls(two.client) as answers:
        await two.more(answers, 200)
        two.proxy.cut()
        await two.connected(1)  # no answer to a ping: the connection is given up
        await two.more(answers, 200)
        asked = len(two.behind.payloads)
        two.proxy.mend()
        await two.connected()
        await until_here(lambda: len(two.behind.payloads) > asked, PATIENCE_SECONDS)
    assert answers.wrong == []
    assert two.client.idle


async def test_an_idle_endpoint_that_is_cut_off_is_noticed_before_anyone_asks_it() -> None:
    async with pair() as two:
        two.proxy.cut()
        await two.connected(1)
        two.proxy.mend()
        await two.connected()


async def test_without_protection_the_same_cut_is_felt() -> None:
    """Positive control."""
    async with pair(UNPROTECTED) as two, steady_calls(two.client) as answers:
        await two.more(answers, 200)
        two.proxy.cut()
        await two.connected(1)
        await until_here(lambda: bool(answers.wrong), PATIENCE_SECONDS)
        two.proxy.mend()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """The platform with two replicas of every stage."""
    folder = tmp_path_factory.mktemp("upstreams")
    write_times(folder / "models", 1)
    replicas = ",".join(f"{stage}=2" for stage in STAGES)
    arguments = ("--redis", "off", "--replicas", replicas)
    with platform(folder / "models", folder, *arguments, **LOSSLESS) as started:
        yield started


async def endpoints(running: Platform, stage: str, state: str) -> int:
    """How many endpoints of a stage the gateway counts in a state."""
    async with httpx.AsyncClient(base_url=running.url, timeout=30) as client:
        text = (await client.get("/metrics")).text
    found = re.search(rf'trireme_upstream_endpoints{{stage="{stage}",state="{state}"}} (\d+)', text)
    return int(found[1]) if found else 0


async def until_count(running: Platform, stage: str, state: str, *counts: int) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while await endpoints(running, stage, state) not in counts:
            await asyncio.sleep(0.05)


async def all_usable(running: Platform) -> None:
    for stage in STAGES:
        await until_count(running, stage, "usable", 2)


async def all_ready(running: Platform) -> None:
    """Waits, as an orchestrator does before it goes on, until every replica says that it is ready."""
    for stage in STAGES:
        for process in replicas_of(running, stage):
            address = f"127.0.0.1:{process.environ()[f'TRIREME_{stage.upper()}_PORT']}"
            async with asyncio.timeout(PATIENCE_SECONDS):
                while not await asyncio.to_thread(serving, address, "readiness"):
                    await asyncio.sleep(0.05)


def replicas_of(running: Platform, stage: str) -> list[psutil.Process]:
    """The processes of a stage that live now."""
    found = psutil.Process(running.process.pid).children(recursive=True)
    return [process for process in found if f"trireme_{stage}" in process.cmdline()]


async def test_stopped_replicas_lose_no_request_and_serve_again(running: Platform) -> None:
    await all_usable(running)
    first, second = replicas_of(running, "inference")
    async with steady_load(running.url) as load:
        for process in (first, second):  # once the second stops, the first must have come back
            await until_here(lambda: load.answered > 20, PATIENCE_SECONDS)
            process.suspend()
            try:
                await until_count(running, "inference", "usable", 1)
                before = load.answered
                await asyncio.sleep(2.5)
                assert load.answered > before
            finally:
                process.resume()
            await all_usable(running)
    assert load.failures == []


async def test_a_rolling_restart_of_every_stage_loses_no_request(running: Platform) -> None:
    await all_usable(running)
    async with steady_load(running.url) as load:
        living = [replicas_of(running, stage) for stage in STAGES]
        for processes in zip(*living, strict=True):  # one of every stage, then the other one
            for process in processes:
                process.terminate()
            for stage in STAGES:
                await until_count(running, stage, "usable", 0, 1)
            await all_usable(running)
            await all_ready(running)
            before = load.answered
            await until_here(lambda: load.answered > before + 50, PATIENCE_SECONDS)  # noqa: B023
    assert load.failures == []
    assert load.answered > 100


async def test_with_every_replica_dead_the_answer_is_503_until_one_is_back(running: Platform) -> None:
    await all_usable(running)
    async with httpx.AsyncClient(base_url=running.url, timeout=PATIENCE_SECONDS) as client:
        stopped = replicas_of(running, "inference")
        for process in stopped:
            os.kill(process.pid, signal.SIGKILL)
        numbers = itertools.count(10**6)
        refused: list[httpx.Response] = []
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                number = next(numbers)
                answer = await client.post("/predict", json={"data": [number, 0, 0, 0]})
                if answer.status_code == 200 and refused:
                    break
                if answer.status_code != 200:
                    refused.append(answer)
                await asyncio.sleep(0.02)
    assert answer.json()["result"] == [number, 0, 0, 0]
    assert {response.status_code for response in refused} == {503}
    codes = [response.json()["code"] for response in refused]
    assert codes[0] == "backend_unavailable"
    assert set(codes) <= {"backend_unavailable", "model_not_ready"}  # the latter while it loads
    assert all(response.headers["retry-after"] for response in refused)
    await all_usable(running)

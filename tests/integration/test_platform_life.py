"""What happens to requests while the platform changes under them."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil
import pytest

from tests.support.platform import LOSSLESS, Platform, copy_models, platform
from tests.support.processes import eventually
from tests.support.times_models import write_times
from trireme_common.healthcheck import serving


@dataclass
class Load:
    """What a steady stream of questions came to."""

    answered: int = 0
    failures: list[str] = field(default_factory=list)
    versions: set[str] = field(default_factory=set)

    def check(self, number: int, answer: httpx.Response) -> None:
        if answer.status_code != 200:
            self.failures.append(f"{answer.status_code} {answer.text[:200]}")
            return
        body = answer.json()
        factor = int(body["version"])
        self.versions.add(body["version"])
        if body["result"] != [number * factor, 0, 0, 0]:
            self.failures.append(f"wrong answer of version {factor}: {body}")
        self.answered += 1


@asynccontextmanager
async def steady_load(url: str, callers: int = 8) -> AsyncIterator[Load]:
    """Asks without pause from `callers` connections; every number is asked once, so nothing is cached."""
    load = Load()
    numbers = itertools.count(1)
    stop = asyncio.Event()

    async def ask(client: httpx.AsyncClient) -> None:
        while not stop.is_set():
            number = next(numbers)
            try:
                load.check(number, await client.post("/predict", json={"data": [number, 0, 0, 0]}))
            except httpx.HTTPError as error:
                load.failures.append(repr(error))

    async with httpx.AsyncClient(base_url=url, timeout=30) as client, asyncio.TaskGroup() as group:
        for _ in range(callers):
            group.create_task(ask(client))
        try:
            yield load
        finally:
            stop.set()


async def until(condition: Callable[[], bool], seconds: float = 30) -> None:
    """Waits for a condition, and fails loudly where it does not come true."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.05)


async def until_health(url: str, condition: Callable[[dict[str, str]], bool]) -> None:
    async with httpx.AsyncClient(base_url=url) as client, asyncio.timeout(30):
        while not condition((await client.get("/health")).json()["models"]["times"]):
            await asyncio.sleep(0.1)


async def test_versions_come_and_fail_without_a_lost_request(tmp_path: Path) -> None:
    models = tmp_path / "models"
    write_times(models, 1)
    with platform(models, tmp_path, TRIREME_MODELS_POLL_SECONDS="0.2") as running:
        async with steady_load(running.url) as load:
            await until(lambda: load.answered > 20)
            write_times(models, 2)
            await until(lambda: "2" in load.versions)
            write_times(models, 3, b"no model at all")
            await until_health(running.url, lambda model: "version 3" in model["reason"])
            before = load.answered
            await until(lambda: load.answered > before + 20)
        assert load.failures == []
        assert load.versions == {"1", "2"}
        health = running.get("/health").json()
        assert health["models"]["times"]["version"] == "2"


async def both_serve(running: Platform, stage: str) -> None:
    """The platform is ready with one of two replicas: waits until the other is, and the gateway has it."""
    for number in (0, 1):
        process = psutil.Process(running.pids[f"{stage}-{number}"])
        address = f"127.0.0.1:{process.environ()[f'TRIREME_{stage.upper()}_PORT']}"
        await asyncio.to_thread(eventually, lambda: serving(address, "readiness"))  # noqa: B023  # waited for
    usable = f'trireme_upstream_endpoints{{stage="{stage}",state="usable"}} 2'
    await asyncio.to_thread(eventually, lambda: usable in running.get("/metrics").text)


@pytest.mark.parametrize("stage", ["preprocess", "inference", "postprocess"])
async def test_a_killed_stage_of_two_loses_no_request(tmp_path: Path, stage: str) -> None:
    models = tmp_path / "models"
    write_times(models, 1)
    with platform(models, tmp_path, "--replicas", f"{stage}=2") as running:
        await both_serve(running, stage)
        async with steady_load(running.url) as load:
            await until(lambda: load.answered > 20)
            os.kill(running.pids[f"{stage}-0"], signal.SIGKILL)
            before = load.answered
            await until(lambda: load.answered > before + 200)
        assert load.failures == []
        assert "restart" in running.log.read_text()


async def test_two_workers_share_the_port_and_the_metrics(tmp_path: Path) -> None:
    models = tmp_path / "models"
    write_times(models, 1)
    with platform(models, tmp_path, "--workers", "2") as running:
        asked = 0
        for _ in range(60):  # each on a connection of its own, so both workers answer some
            assert running.post("/predict", json={"data": [asked, 0, 0, 0]}).status_code == 200
            asked += 1
        answered_by = await _workers(running.pids["gateway"][0])
        assert len(answered_by) == 2
        for _ in range(4):
            text = running.get("/metrics").text
            assert f'model_requests_total{{endpoint="/predict",status="200"}} {asked}.0' in text
            assert f'model_inference_duration_seconds_count{{model="times"}} {asked}.0' in text
            assert running.get("/health").json()["stats"]["total_requests"] == asked
        answered_by[0].kill()
        await until(lambda: len(_alive(running.pids["gateway"][0])) == 2 and not _runs(answered_by[0]))
        await until(lambda: _answers(running.url))
        text = running.get("/metrics").text
        assert f'model_requests_total{{endpoint="/predict",status="200"}} {asked}.0' in text


async def _workers(parent: int) -> list[psutil.Process]:
    await until(lambda: len(_alive(parent)) == 2)
    return _alive(parent)


def _alive(parent: int) -> list[psutil.Process]:
    return [child for child in psutil.Process(parent).children() if _runs(child)]


def _runs(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


async def test_no_redis_and_a_dead_redis_change_nothing_but_the_cache(tmp_path: Path) -> None:
    models = tmp_path / "models"
    write_times(models, 1)
    with platform(models, tmp_path, TRIREME_GATEWAY_CACHE_MEMORY_BYTES="0") as running:
        question = {"data": [5, 0, 0, 0]}
        async with httpx.AsyncClient(base_url=running.url) as client:
            assert (await client.post("/predict", json=question)).headers["x-cache"] == "miss"
            async with asyncio.timeout(10):
                while (await client.post("/predict", json=question)).headers["x-cache"] != "hit":
                    await asyncio.sleep(0.05)
        async with steady_load(running.url) as load:
            await until(lambda: load.answered > 20)
            os.kill(running.pids["redis"], signal.SIGKILL)
            before = load.answered
            await until(lambda: load.answered > before + 100)
        assert load.failures == []


def test_a_bad_model_is_shown_and_the_rest_serves(tmp_path: Path) -> None:
    models = copy_models(tmp_path / "models", "tabular")
    write_times(models, 1, b"no model at all")
    with platform(models, tmp_path) as running:
        health = running.get("/health").json()
        assert health["status"] == "degraded"
        assert health["models"]["times"]["state"] == "UNAVAILABLE"
        assert "version 1: " in health["models"]["times"]["reason"]
        assert str(tmp_path) not in health["models"]["times"]["reason"]
        assert running.get("/readyz").status_code == 200
        refused = running.post("/v1/models/times:predict", json={"instances": [[1, 2, 3, 4]]})
        assert refused.status_code == 503
        assert refused.headers["retry-after"]


def test_cors_by_setting(tmp_path: Path) -> None:
    models = tmp_path / "models"
    write_times(models, 1)
    origin = "https://console.example"
    with platform(models, tmp_path, "--redis", "off", TRIREME_GATEWAY_CORS_ORIGINS=origin) as running:
        asked = {"origin": origin, "access-control-request-method": "POST"}
        preflight = httpx.options(f"{running.url}/predict", headers=asked)
        assert preflight.headers["access-control-allow-origin"] == origin
        answer = running.post("/predict", json={"data": [1, 0, 0, 0]}, headers={"origin": origin})
        assert answer.headers["access-control-allow-origin"] == origin
        stranger = httpx.options(
            f"{running.url}/predict", headers={**asked, "origin": "https://other.example"}
        )
        assert "access-control-allow-origin" not in stranger.headers


async def test_workers_replaced_one_by_one_lose_no_request(tmp_path: Path) -> None:
    models = tmp_path / "models"
    write_times(models, 1)
    with platform(models, tmp_path, "--workers", "2", **LOSSLESS) as running:
        parent = running.pids["gateway"][0]
        old = {worker.pid for worker in await _workers(parent)}
        async with steady_load(running.url) as load:
            await until(lambda: load.answered > 20)
            os.kill(parent, signal.SIGHUP)
            await until(lambda: running.log.read_text().count("worker_replaced") == 2, 60)
            before = load.answered
            await until(lambda: load.answered > before + 50)
        assert load.failures == []
        assert load.answered > 70
        assert old.isdisjoint(worker.pid for worker in _alive(parent))

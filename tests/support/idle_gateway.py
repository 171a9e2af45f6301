"""A gateway as a real process whose inference comes and goes, over stages that live in the test's own."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.support.catalogs import version
from tests.support.gateway_process import METHODS, Counting
from tests.support.hops import classify
from tests.support.stage_process import free_port
from tests.support.stages import RunningStage, StateBoard, stage_server
from trireme_common.stage_state import StageState

_POLL_SECONDS = 0.05


@dataclass(frozen=True)
class IdleGateway:
    """A running gateway; inference is what the test starts at `inference_port`."""

    url: str
    grpc: str
    metrics_port: int
    inference_port: int
    process: asyncio.subprocess.Process
    client: httpx.AsyncClient

    @asynccontextmanager
    async def inference(self, *models: str) -> AsyncIterator[Counting]:
        """A pod of the pool, with these models, for as long as the context is open."""
        handler = Counting()
        board = StateBoard(StageState(tuple(map(version, models or ("m",))), device="cpu"))
        stage = RunningStage(handler, board, self.inference_port, METHODS["inference"])
        await stage.start()
        try:
            yield handler
        finally:
            await stage.kill()

    async def ask(self, model: str = "m", timeout_ms: int = 30_000) -> httpx.Response:
        headers = {"x-request-timeout-ms": str(timeout_ms)}
        return await self.client.post(
            "/predict", params={"model": model}, json={"texts": ["好"]}, headers=headers
        )

    async def scaling(self) -> Any:
        """What an autoscaler is told."""
        answer = await self.client.get(f"http://127.0.0.1:{self.metrics_port}/scaling")
        assert answer.headers["content-type"] == "application/json"
        return answer.json()

    async def metric(self, line: str) -> float:
        """Value of the series `line`, 0 where it is not there."""
        text = (await self.client.get(f"http://127.0.0.1:{self.metrics_port}/metrics")).text
        return sum(float(row.rpartition(" ")[2]) for row in text.splitlines() if row.startswith(f"{line} "))

    async def exposes(self, name: str, label: str) -> bool:
        """Waits until the series is there."""
        url = f"http://127.0.0.1:{self.metrics_port}/metrics"
        async with asyncio.timeout(20):
            while f"\n{name}{{{label}}} " not in (await self.client.get(url)).text:
                await asyncio.sleep(_POLL_SECONDS)
        return True

    async def scaling_where(self, pool: str, field: str, least: float) -> Any:
        """Waits until a pool's figure is at least so large."""
        async with asyncio.timeout(20):
            while (found := await self.scaling())["pools"][pool][field] < least:
                await asyncio.sleep(_POLL_SECONDS)
        return found


@asynccontextmanager
async def idle_gateway(log: Path, *models: str, **environment: str) -> AsyncIterator[IdleGateway]:
    """`python -m trireme_gateway`, listening; preprocess and postprocess have `models`, inference is away."""
    board = StateBoard(StageState(tuple(map(version, models or ("m",))), device="cpu"))
    handlers = {"preprocess": Counting(), "postprocess": Counting(classify)}
    ports = {name: free_port() for name in ("http", "grpc", "metrics", "inference")}
    settings = {
        "TRIREME_GATEWAY_INFERENCE_ADDRESSES": f"127.0.0.1:{ports['inference']}",
        "TRIREME_GATEWAY_RESOLVE_SECONDS": "0.2",
        "TRIREME_GATEWAY_DRAIN_SECONDS": "0.1",
        **{f"TRIREME_GATEWAY_{name.upper()}_PORT": str(ports[name]) for name in ("http", "grpc", "metrics")},
    }
    async with AsyncExitStack() as stack:
        for stage, handler in handlers.items():
            server = await stack.enter_async_context(stage_server(handler, board, METHODS[stage]))
            settings[f"TRIREME_GATEWAY_{stage.upper()}_ADDRESSES"] = server.address
        url = f"http://127.0.0.1:{ports['http']}"
        client = await stack.enter_async_context(httpx.AsyncClient(base_url=url, timeout=40))
        errors = stack.enter_context(log.open("wb"))
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "trireme_gateway",
            env={**os.environ, **settings, **environment},
            stderr=errors,
        )
        try:
            await _listed(client, process, log)
            yield IdleGateway(
                url, f"127.0.0.1:{ports['grpc']}", ports["metrics"], ports["inference"], process, client
            )
        finally:
            if process.returncode is None:
                process.terminate()
                await asyncio.wait_for(process.wait(), 20)
        assert process.returncode == 0, log.read_text()


async def _listed(client: httpx.AsyncClient, process: asyncio.subprocess.Process, log: Path) -> None:
    """Waits until the gateway knows preprocess and postprocess."""
    async with asyncio.timeout(30):
        while process.returncode is None:
            try:
                stages = (await client.get("/health")).json()["stages"]
                if stages["preprocess"] and stages["postprocess"]:
                    return
            except httpx.TransportError:
                pass
            await asyncio.sleep(_POLL_SECONDS)
    raise AssertionError(f"the gateway ended with {process.returncode}:\n{log.read_text()[-4000:]}")

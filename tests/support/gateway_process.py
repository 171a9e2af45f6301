"""The gateway as a real process, over stages that live in the test's own."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil

from tests.support.catalogs import version
from tests.support.hops import classify
from tests.support.stage_process import free_port
from tests.support.stages import Answer, StateBoard, stage_server
from trireme_common.stage_state import StageState
from trireme_common.stage_stream import Emit, Item, Outcome

METHODS = {
    "preprocess": "/trireme.v1.PreprocessService/Process",
    "inference": "/trireme.v1.InferenceService/Infer",
    "postprocess": "/trireme.v1.PostprocessService/Process",
}


class Counting:
    """Answers by a function once `gate` is open; counts, and keeps nothing."""

    def __init__(self, answer: Answer = lambda payload: payload) -> None:
        self._answer = answer
        self.gate = asyncio.Event()
        self.gate.set()
        self.items = 0
        self._waiting: list[Sequence[Item]] = []

    @property
    def left(self) -> int:
        """Items that wait at the gate and whose caller has left."""
        return sum(item.cancelled for items in self._waiting for item in items)

    async def handle(self, model: str, version: str, items: Sequence[Item], emit: Emit) -> None:
        self.items += len(items)
        self._waiting.append(items)
        await self.gate.wait()
        self._waiting.remove(items)
        outcomes = []
        for item in items:
            answer = self._answer(item.payload)
            good = isinstance(answer, bytes)
            outcomes.append(Outcome(item, answer) if good else Outcome(item, error=answer))  # type: ignore[arg-type]
        emit(outcomes)


@dataclass(frozen=True)
class Gateway:
    """A running gateway and its stages; `grpc` is host:port."""

    url: str
    grpc: str
    process: psutil.Process
    preprocess: Counting
    inference: Counting
    postprocess: Counting

    @property
    def resident_bytes(self) -> int:
        """Memory of the gateway's process that is its own."""
        found = self.process.memory_full_info()
        return int(found.uss)


@asynccontextmanager
async def gateway(
    log: Path, preprocess: Answer = lambda payload: payload, **environment: str
) -> AsyncIterator[Gateway]:
    """`python -m trireme_gateway`, ready, with one text classifier `m` that answers as `hops.classify`."""
    state = StageState((version("m"),), device="cpu")
    handlers = {
        "preprocess": Counting(preprocess),
        "inference": Counting(),
        "postprocess": Counting(classify),  # type: ignore[arg-type]
    }
    async with AsyncExitStack() as stack:
        addresses = {}
        for stage, handler in handlers.items():
            server = await stack.enter_async_context(stage_server(handler, StateBoard(state), METHODS[stage]))
            addresses[f"TRIREME_GATEWAY_{stage.upper()}_ADDRESSES"] = server.address
        http_port, grpc_port = free_port(), free_port()
        ports = {
            "TRIREME_GATEWAY_HTTP_PORT": str(http_port),
            "TRIREME_GATEWAY_GRPC_PORT": str(grpc_port),
            "TRIREME_GATEWAY_DRAIN_SECONDS": "0.1",
        }
        errors = stack.enter_context(log.open("wb"))
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "trireme_gateway",
            env={**os.environ, **addresses, **ports, **environment},
            stderr=errors,
        )
        try:
            url = f"http://127.0.0.1:{http_port}"
            await _ready(url, process, log)
            yield Gateway(url, f"127.0.0.1:{grpc_port}", psutil.Process(process.pid), **handlers)
            with suppress(ProcessLookupError):  # where the test has stopped it
                process.terminate()
            code = await asyncio.wait_for(process.wait(), 20)
            assert code == 0, log.read_text()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()


async def _ready(url: str, process: asyncio.subprocess.Process, log: Path) -> None:
    async with asyncio.timeout(30), httpx.AsyncClient() as client:
        while process.returncode is None:
            try:
                if (await client.get(f"{url}/readyz")).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.05)
    raise AssertionError(f"the gateway ended with {process.returncode}:\n{log.read_text()[-4000:]}")

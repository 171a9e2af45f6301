"""A stage as a real process, and a gateway's end of a stream to it."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import grpc.aio
from grpc_health.v1 import health_pb2, health_pb2_grpc

from trireme_common.stage_state import StageState, decode_state
from trireme_protos.trireme.v1 import envelope_pb2


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@asynccontextmanager
async def running(stage: str, models: Path, log: Path, **environment: str) -> AsyncIterator[grpc.aio.Channel]:
    """`python -m trireme_<stage>` until the end of the block: a channel to it once it is ready. Its end must
    be clean."""
    port = free_port()
    prefix = f"TRIREME_{stage.upper()}"
    with log.open("wb") as errors:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            f"trireme_{stage}",
            env={
                **os.environ,
                "TRIREME_MODELS_DIR": str(models),
                "TRIREME_MODELS_POLL_SECONDS": "0.1",
                f"{prefix}_PORT": str(port),
                f"{prefix}_DRAIN_SECONDS": "0.1",
                f"{prefix}_GRACE_SECONDS": "5",
                **environment,
            },
            stderr=errors,
        )
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            await _ready(channel, process)
            yield channel
        process.terminate()
        code = await asyncio.wait_for(process.wait(), 20)
        assert code == 0, log.read_text()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def _ready(channel: grpc.aio.Channel, process: asyncio.subprocess.Process) -> None:
    stub = health_pb2_grpc.HealthStub(channel)
    request = health_pb2.HealthCheckRequest(service="readiness")
    async with asyncio.timeout(30):
        while process.returncode is None:
            try:
                answer = await stub.Check(request, wait_for_ready=True, timeout=1)
                if answer.status == health_pb2.HealthCheckResponse.SERVING:
                    return
            except grpc.aio.AioRpcError:
                pass
            await asyncio.sleep(0.05)
    raise AssertionError(f"the stage ended with {process.returncode}")


class StageStream:
    """One stream: sends items, keeps results by id and the newest state."""

    def __init__(self, channel: grpc.aio.Channel, method: str) -> None:
        self._call = channel.stream_stream(method, bytes, bytes)()  # type: ignore[call-arg]
        self._results: dict[int, asyncio.Future[envelope_pb2.Result]] = {}
        self._changed = asyncio.Condition()
        self._next = 0
        self._writing = asyncio.Lock()
        self.state: StageState | None = None
        self._reader = asyncio.create_task(self._read())

    async def send(
        self, model: str, version: str, payloads: Sequence[bytes], remaining_ms: int = 20_000
    ) -> list[asyncio.Future[envelope_pb2.Result]]:
        """Sends one message; the futures hold its results, in order."""
        envelope = envelope_pb2.Envelope(model=model, version=version)
        futures = []
        for payload in payloads:
            self._next += 1
            envelope.items.add(id=self._next, remaining_ms=remaining_ms, payload=payload)
            future = self._results[self._next] = asyncio.get_running_loop().create_future()
            futures.append(future)
        async with self._writing:  # concurrent writes kill a call
            await self._call.write(envelope.SerializeToString())
        return futures

    async def state_where(self, condition: Callable[[StageState], bool], seconds: float = 20.0) -> StageState:
        """Waits for a state that fulfils `condition`."""
        async with asyncio.timeout(seconds), self._changed:
            while self.state is None or not condition(self.state):
                await self._changed.wait()
            return self.state

    async def close(self) -> None:
        await self._call.done_writing()
        await self._reader

    async def _read(self) -> None:
        async for data in self._call:
            reply = envelope_pb2.Reply.FromString(data)
            for result in reply.results:
                self._results.pop(result.id).set_result(result)
            if reply.HasField("state"):
                async with self._changed:
                    self.state = decode_state(reply.state)
                    self._changed.notify_all()

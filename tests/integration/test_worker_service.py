"""The service over worker processes: a process that dies costs its callers nothing."""

import asyncio
import os
import signal
from pathlib import Path

import grpc.aio
import numpy as np

from tests.support import onnx_models
from tests.support.onnx_models import golden_of, write_version
from tests.support.processes import descendants, eventually, gone
from tests.support.stage_process import StageStream, running
from trireme_common.tensors import Tensor, decode_tensors, encode_tensors

METHOD = "/trireme.v1.InferenceService/Infer"
ROW = np.array([[1, 2, 3, 4]], np.float32)


def workers() -> set[int]:
    """Processes below a service's nursery."""
    services = {pid for pid in descendants() if b"\0trireme_inference\0" in command(pid)}
    nurseries = {pid for service in services for pid in descendants(service)}
    return {pid for nursery in nurseries for pid in descendants(nursery)}


def command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


async def ask(stream: StageStream, count: int) -> None:
    futures = await stream.send(
        "scale", "1", [encode_tensors([Tensor.of("x", ROW * number)]) for number in range(count)]
    )
    for number, future in enumerate(futures):
        result = await future
        assert not result.failure.code, result.failure
        np.testing.assert_array_equal(decode_tensors(result.payload)[0].array(), ROW * 2 * number)


async def test_killing_workers_under_load_fails_nothing_and_nothing_is_left_behind(tmp_path: Path) -> None:
    golden = golden_of({"x": ROW}, {"y": ROW * 2})
    spec = "instances: {isolation: process, count: 2}\n"
    write_version(tmp_path / "models", "scale", 1, onnx_models.scale(2.0), spec=spec, golden=golden)
    async with running("inference", tmp_path / "models", tmp_path / "log") as channel:
        seen = await _loaded_and_killed(channel)
    assert len(seen) >= 4
    await asyncio.to_thread(eventually, lambda: all(map(gone, seen)))
    log = (tmp_path / "log").read_text()
    assert log.count('"worker_died"') >= 3
    assert '"model_failed"' not in log


async def _loaded_and_killed(channel: grpc.aio.Channel) -> set[int]:
    stream = StageStream(channel, METHOD)
    await stream.state_where(lambda state: bool(state.models) and state.models[0].state == "READY")
    stop = asyncio.Event()

    async def load() -> None:
        while not stop.is_set():
            await ask(stream, 20)

    callers = [asyncio.create_task(load()) for _ in range(4)]
    seen = workers()
    assert len(seen) == 2
    for _ in range(3):
        os.kill(next(iter(workers())), signal.SIGKILL)
        await asyncio.sleep(0.4)
        await asyncio.to_thread(eventually, lambda: len(workers()) == 2)
        seen |= workers()
    stop.set()
    await asyncio.gather(*callers)
    await stream.close()
    return seen

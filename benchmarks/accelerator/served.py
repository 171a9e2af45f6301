"""Items a second through the inference service's own gRPC door, in a closed loop."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc.aio
import numpy as np
import yaml

from benchmarks.accelerator.nvml import watched
from benchmarks.accelerator.raw import Rate
from trireme_protos.inference import grpc_service_pb2

_INFER = "/inference.GRPCInferenceService/ModelInfer"
_READY = "/inference.GRPCInferenceService/ModelReady"
_MAX_MESSAGE = 256 * 1024 * 1024
_READY_SECONDS = 240.0
_WARM_UP_PART = 0.3


def write_spec(directory: Path, image: tuple[int, ...], classes: int, most_rows: int) -> None:
    """model.yaml of a torch model that takes `image` and gives `classes` logits."""
    spec = {
        "name": directory.name,
        "backend": "torch",
        "inputs": [{"name": "image", "datatype": "UINT8", "shape": [-1, *image]}],
        "outputs": [{"name": "logits", "datatype": "FP32", "shape": [-1, classes]}],
        "batching": {"max_batch_size": most_rows},
    }
    (directory / "model.yaml").write_text(yaml.safe_dump(spec), "utf-8")


@asynccontextmanager
async def service(
    models: Path, device: str, log: Path, **environment: str
) -> AsyncIterator[grpc.aio.Channel]:
    """The inference service over `models` until the end of the block; a channel to it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = {
        "TRIREME_MODELS_DIR": str(models),
        "TRIREME_INFERENCE_PORT": str(port),
        "TRIREME_INFERENCE_DEVICE": device,
        **environment,
    }
    with log.open("wb") as errors:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "trireme_inference", env={**os.environ, **settings}, stderr=errors
        )
    options = [
        ("grpc.max_send_message_length", _MAX_MESSAGE),
        ("grpc.max_receive_message_length", _MAX_MESSAGE),
    ]
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options) as channel:
            yield channel
    finally:
        if process.returncode is None:
            process.terminate()
            try:
                await asyncio.wait_for(process.wait(), 60)
            except TimeoutError:
                process.kill()
                await process.wait()


async def wait_ready(channel: grpc.aio.Channel, model: str, log: Path) -> None:
    """Raises RuntimeError with the end of the log where the model is not ready in time."""
    ask = channel.unary_unary(_READY, None, None)
    request = grpc_service_pb2.ModelReadyRequest(name=model).SerializeToString()
    deadline = time.monotonic() + _READY_SECONDS
    while time.monotonic() < deadline:
        try:
            answer = await ask(request, timeout=5, wait_for_ready=True)
            if grpc_service_pb2.ModelReadyResponse.FromString(answer).ready:
                return
        except grpc.aio.AioRpcError:
            pass
        if "model_load_failed" in log.read_text(errors="replace"):
            break
        await asyncio.sleep(0.1)
    raise RuntimeError(f"{model} is not ready:\n{log.read_text(errors='replace')[-3000:]}")


async def served_rate(
    channel: grpc.aio.Channel,
    model: str,
    precision: str,
    images: np.ndarray,
    rows: int,
    outstanding: int,
    seconds: float,
    device: str,
) -> Rate:
    """`outstanding` callers, each with one request of `rows` rows under way. Raises AioRpcError."""
    request = _request(model, np.resize(images, (rows, *images.shape[1:])))
    infer = channel.unary_unary(_INFER, None, None)
    started = time.perf_counter()
    begun, end = started + _WARM_UP_PART * seconds, started + (1 + _WARM_UP_PART) * seconds
    counted = 0

    async def caller() -> None:
        nonlocal counted
        while time.perf_counter() < end:
            answer = await infer(request, timeout=120)
            if len(answer) < rows:
                raise RuntimeError(f"{model} answered {len(answer)} bytes to {rows} rows")
            counted += begun <= time.perf_counter()

    with watched(int(device.partition(":")[2] or 0)) as utilisation:
        await asyncio.gather(*(caller() for _ in range(outstanding)))
        took = time.perf_counter() - begun  # with the last answer of every caller, which is counted
    runtime = f"served, {outstanding} requests under way"
    return Rate(runtime, precision, rows, counted * rows / took, utilisation.percent)


def _request(model: str, batch: np.ndarray) -> bytes:
    tensor = grpc_service_pb2.ModelInferRequest.InferInputTensor(
        name="image", datatype="UINT8", shape=list(batch.shape)
    )
    return grpc_service_pb2.ModelInferRequest(
        model_name=model, inputs=[tensor], raw_input_contents=[batch.tobytes()]
    ).SerializeToString()

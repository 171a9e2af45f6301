"""A foreign inference server in this process, with what of Triton's semantics a gateway meets.

Model `times` multiplies rows of FP32 by its version. A row that begins with -1 is refused, and with it the
whole call; one that begins with -2 fails the model.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import grpc
import grpc.aio
import numpy as np
from google.protobuf.message import Message

from trireme_protos.inference import grpc_service_pb2 as pb

Context = grpc.aio.ServicerContext[Message, Message]
SERVICE = "inference.GRPCInferenceService"
BAD, FAILING = -1.0, -2.0


@dataclass
class TritonModels:
    """What the server has and how it behaves; a test changes it while the server runs."""

    versions: dict[str, dict[str, str]] = field(default_factory=lambda: {"times": {"1": "READY"}})
    """States of versions by model; a version may be empty."""
    max_batch_size: int = 0
    indexed: bool = True
    """Whether it knows Triton's extensions, the index and the configuration."""
    ready: bool = True
    refusing: bool = False
    """Whether it takes no inference, as with a full queue."""
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    """Closed, calls wait inside."""
    requests: list[pb.ModelInferRequest] = field(default_factory=list)
    remaining: list[float | None] = field(default_factory=list)
    """Seconds that each call had when it came."""
    metadata: list[tuple[str, str]] = field(default_factory=list)
    """Headers that calls brought along."""
    cancelled: int = 0

    def __post_init__(self) -> None:
        self.gate.set()

    @property
    def shapes(self) -> list[list[int]]:
        return [list(request.inputs[0].shape) for request in self.requests]

    async def infer(self, request: pb.ModelInferRequest, context: Context) -> Message:
        self.requests.append(request)
        self.remaining.append(context.time_remaining())
        self.metadata.extend((str(key), str(value)) for key, value in context.invocation_metadata() or ())
        if self.refusing:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "Exceeds maximum queue size")
        await self._find(request.model_name, request.model_version, context)
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        shape = list(request.inputs[0].shape)
        if self.max_batch_size and shape[0] > self.max_batch_size:
            told = f"batch-size must be <= {self.max_batch_size}"
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, told)
        rows = np.frombuffer(request.raw_input_contents[0], np.float32).reshape(shape)
        if BAD in rows[:, 0]:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "a row is bad\nat line 1")
        if FAILING in rows[:, 0]:
            await context.abort(grpc.StatusCode.INTERNAL, "Traceback: secret")
        answer = pb.ModelInferResponse(model_name=request.model_name, model_version=request.model_version)
        answer.outputs.add(name="y", datatype="FP32", shape=shape)
        answer.raw_output_contents.append((rows * float(request.model_version or 1)).tobytes())
        return answer

    async def index(self, request: Message, context: Context) -> Message:
        if not self.indexed:
            await context.abort(grpc.StatusCode.UNIMPLEMENTED, "no such method")
        if not self.ready:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "Server not ready")
        answer = pb.RepositoryIndexResponse()
        for name, versions in self.versions.items():
            for version, state in versions.items():
                reason = "it is broken" if state == "UNAVAILABLE" else ""
                answer.models.add(name=name, version=version, state=state, reason=reason)
        return answer

    async def server_ready(self, request: Message, context: Context) -> Message:
        return pb.ServerReadyResponse(ready=self.ready)

    async def model_ready(self, request: pb.ModelReadyRequest, context: Context) -> Message:
        state = self.versions.get(request.name, {}).get(request.version)
        return pb.ModelReadyResponse(ready=state == "READY")

    async def model_metadata(self, request: pb.ModelMetadataRequest, context: Context) -> Message:
        await self._find(request.name, request.version, context)
        numbers = sorted(filter(None, self.versions[request.name]))
        answer = pb.ModelMetadataResponse(name=request.name, versions=numbers, platform="onnxruntime_onnx")
        answer.inputs.add(name="x", datatype="FP32", shape=[-1, 4])
        answer.outputs.add(name="y", datatype="FP32", shape=[-1, 4])
        return answer

    async def model_config(self, request: pb.ModelConfigRequest, context: Context) -> Message:
        if not self.indexed:
            await context.abort(grpc.StatusCode.UNIMPLEMENTED, "no such method")
        answer = pb.ModelConfigResponse()
        answer.config.name = request.name
        answer.config.max_batch_size = self.max_batch_size
        answer.config.input.add(name="x", dims=[4])
        return answer

    async def _find(self, name: str, version: str, context: Context) -> None:
        versions = self.versions.get(name, {})
        if not versions or (version and version not in versions):
            await context.abort(
                grpc.StatusCode.NOT_FOUND, f"Request for unknown model: '{name}' is not found"
            )


class RunningTriton:
    """The server on a port of this machine; `port` 0 takes a free one."""

    def __init__(self, models: TritonModels | None = None, port: int = 0) -> None:
        self.models = models or TritonModels()
        self._server = grpc.aio.server()
        self._server.add_generic_rpc_handlers((self._handler(),))
        self.port = self._server.add_insecure_port(f"127.0.0.1:{port}")
        self.address = f"127.0.0.1:{self.port}"

    async def start(self) -> None:
        await self._server.start()

    async def kill(self) -> None:
        """Breaks every call at once."""
        await self._server.stop(None)

    def _handler(self) -> grpc.GenericRpcHandler[Message, Message]:
        models = self.models
        calls: dict[str, tuple[type[Message], Callable[..., object]]] = {
            "ServerReady": (pb.ServerReadyRequest, models.server_ready),
            "ModelReady": (pb.ModelReadyRequest, models.model_ready),
            "ModelMetadata": (pb.ModelMetadataRequest, models.model_metadata),
            "ModelConfig": (pb.ModelConfigRequest, models.model_config),
            "RepositoryIndex": (pb.RepositoryIndexRequest, models.index),
            "ModelInfer": (pb.ModelInferRequest, models.infer),
        }
        return grpc.method_handlers_generic_handler(
            SERVICE,
            {
                name: grpc.unary_unary_rpc_method_handler(
                    call,
                    request_deserializer=kind.FromString,
                    response_serializer=lambda message: message.SerializeToString(),
                )
                for name, (kind, call) in calls.items()
            },
        )


@asynccontextmanager
async def triton_server(models: TritonModels | None = None, port: int = 0) -> AsyncIterator[RunningTriton]:
    running = RunningTriton(models, port)
    await running.start()
    try:
        yield running
    finally:
        await running.kill()

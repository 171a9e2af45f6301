"""The Open Inference Protocol beside the stream: its six calls and Triton's statistics, on the same port
and scheduler."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, TypeVar

import grpc
import grpc.aio
import structlog
from google.protobuf.message import DecodeError, Message

from trireme_common import __version__
from trireme_common.errors import Code, TriremeError
from trireme_common.grpc_status import STATUS
from trireme_common.model_spec import INFERENCE_SUFFIX
from trireme_common.stage_state import ModelVersion, StageState, State
from trireme_common.tensors import Tensor
from trireme_inference.converters import (
    check_requested,
    infer_inputs,
    infer_response,
    priority,
    timeout_seconds,
)
from trireme_inference.requests import Answer, Request
from trireme_inference.servable import InferenceServable
from trireme_inference.statistics import Statistics, VersionStatistics
from trireme_inference.statistics_converters import model_statistics
from trireme_protos.inference import grpc_service_pb2 as oip

logger = structlog.get_logger(__name__)

SERVICE = "inference.GRPCInferenceService"

M = TypeVar("M", bound=Message)
Context = grpc.aio.ServicerContext[bytes, bytes]
Call = Callable[[bytes, Context], Awaitable[bytes]]


class Models(Protocol):
    """Loaded versions and what is said of them; a ModelStore is one."""

    @property
    def state(self) -> StageState: ...

    @property
    def loaded_once(self) -> asyncio.Event: ...

    async def acquire(self, name: str, version: str) -> InferenceServable: ...


class _Call:
    """Caller and sink of the one request of a ModelInfer call."""

    def __init__(self, answer: asyncio.Future[Answer]) -> None:
        self._answer = answer

    @property
    def cancelled(self) -> bool:
        return self._answer.cancelled()

    def deliver(self, answers: Sequence[Answer]) -> None:
        if not self._answer.done():
            self._answer.set_result(answers[0])


class _Ready:
    """READY versions by model, newest first; made anew when the state changes."""

    def __init__(self) -> None:
        self._state: StageState | None = None
        self._models: dict[str, list[ModelVersion]] = {}

    def of(self, state: StageState, model: str) -> list[ModelVersion]:
        if state is not self._state:
            self._state, self._models = state, {}
            for entry in state.models:
                if entry.state is State.READY:
                    self._models.setdefault(entry.name, []).append(entry)
            for entries in self._models.values():
                entries.sort(key=lambda entry: int(entry.version), reverse=True)
        return self._models.get(model, [])

    def default(self, state: StageState, model: str) -> str:
        """The version that answers where none is named: the one that was put back, else the newest; empty
        where none is READY."""
        ready = [entry.version for entry in self.of(state, model)]
        ordered = (order.version for order in state.orders if order.model == model and order.version in ready)
        return next(ordered, ready[0] if ready else "")


class OipServicer:
    """Handlers take bytes and parse them here: bytes that are no such message are INVALID_ARGUMENT.

    `worker_bytes` tells the memory of a version's own processes, 0 where it has none.
    """

    def __init__(
        self,
        models: Models,
        *,
        default_timeout_seconds: float,
        statistics: Statistics,
        worker_bytes: Callable[[str, str], int] = lambda model, version: 0,
    ) -> None:
        self._models = models
        self._statistics = statistics
        self._worker_bytes = worker_bytes
        self._default_timeout_seconds = default_timeout_seconds
        self._ready = _Ready()

    def handler(self) -> grpc.GenericRpcHandler[bytes, bytes]:
        """Handler of all calls, to register with a grpc.aio server."""
        calls: dict[str, tuple[type[Message], Callable[..., Awaitable[Message]]]] = {
            "ServerLive": (oip.ServerLiveRequest, self._server_live),
            "ServerReady": (oip.ServerReadyRequest, self._server_ready),
            "ServerMetadata": (oip.ServerMetadataRequest, self._server_metadata),
            "ModelReady": (oip.ModelReadyRequest, self._model_ready),
            "ModelMetadata": (oip.ModelMetadataRequest, self._model_metadata),
            "ModelInfer": (oip.ModelInferRequest, self._model_infer),
            "ModelStatistics": (oip.ModelStatisticsRequest, self._model_statistics),
        }
        return grpc.method_handlers_generic_handler(
            SERVICE,
            {name: grpc.unary_unary_rpc_method_handler(_bytes_call(*call)) for name, call in calls.items()},
        )

    async def _server_live(self, request: oip.ServerLiveRequest, context: Context) -> Message:
        return oip.ServerLiveResponse(live=True)

    async def _server_ready(self, request: oip.ServerReadyRequest, context: Context) -> Message:
        return oip.ServerReadyResponse(
            ready=self._models.loaded_once.is_set() and not self._models.state.draining
        )

    async def _server_metadata(self, request: oip.ServerMetadataRequest, context: Context) -> Message:
        return oip.ServerMetadataResponse(name="trireme-inference", version=__version__)

    async def _model_ready(self, request: oip.ModelReadyRequest, context: Context) -> Message:
        ready = self._ready.of(self._models.state, _model(request.name))
        return oip.ModelReadyResponse(
            ready=any(not request.version or entry.version == request.version for entry in ready)
        )

    async def _model_metadata(self, request: oip.ModelMetadataRequest, context: Context) -> Message:
        _, servable = await self._find(request.name, request.version)
        descriptor = servable.descriptor
        versions = [entry.version for entry in self._ready.of(self._models.state, _model(request.name))]
        response = oip.ModelMetadataResponse(
            name=request.name, versions=sorted(versions, key=int), platform=descriptor.platform
        )
        for infos, field in ((descriptor.inputs, response.inputs), (descriptor.outputs, response.outputs)):
            for info in infos:
                field.add(name=info.name, datatype=info.datatype, shape=info.shape)
        return response

    async def _model_infer(self, request: oip.ModelInferRequest, context: Context) -> Message:
        version, servable = await self._find(request.model_name, request.model_version)
        signature = servable.signature
        check_requested(request, signature.outputs)
        parts, shapes, rows = signature.check(infer_inputs(request))
        remaining = context.time_remaining()
        allowed = self._default_timeout_seconds if remaining is None else remaining
        now = time.monotonic()
        deadline = now + min(allowed, timeout_seconds(request))
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        call = _Call(future)
        queued = Request(parts, shapes, rows, deadline, now, signature, call, call, None, request.id)
        queued.priority = priority(request)
        servable.batcher.submit([queued])
        # A client that leaves cancels this handler, and with it the future: the request is then dropped.
        answer = await future
        if answer.error is not None:
            raise answer.error
        outputs = [
            Tensor(info.name, info.datatype, shape, bytes(part))
            for info, shape, part in zip(signature.outputs, answer.shapes, answer.parts, strict=True)
        ]
        return infer_response(request, version, outputs)

    async def _model_statistics(self, request: oip.ModelStatisticsRequest, context: Context) -> Message:
        known = self._statistics.all()
        response = oip.ModelStatisticsResponse()
        for entry in self._asked(request.name, request.version):
            counts = known.get((entry.name, entry.version)) or VersionStatistics()
            shown = entry.name if not request.name else request.name
            memory = self._worker_bytes(entry.name, entry.version)
            response.model_stats.append(model_statistics(shown, entry.version, counts, memory))
        return response

    def _asked(self, name: str, version: str) -> list[ModelVersion]:
        """READY versions, oldest first: all of a model or the one that is named, or all of all models.

        Raises TriremeError in the words of Triton.
        """
        state = self._models.state
        if not name:
            ready = [entry for entry in state.models if entry.state is State.READY]
            return sorted(ready, key=lambda entry: (entry.name, int(entry.version)))
        found = self._ready.of(state, _model(name))
        if not found:
            known = any(entry.name == _model(name) for entry in state.models)
            code = Code.MODEL_NOT_READY if known else Code.MODEL_NOT_FOUND
            raise TriremeError(code, f"requested model '{name}' is not available")
        chosen = [entry for entry in reversed(found) if version in ("", entry.version)]
        if not chosen:
            raise TriremeError(
                Code.MODEL_NOT_FOUND, f"requested model version is not available for model '{name}'"
            )
        return chosen

    async def _find(self, name: str, version: str) -> tuple[str, InferenceServable]:
        model = _model(name)
        if not version:
            # Without a READY version the store says why: unknown, or not ready.
            version = self._ready.default(self._models.state, model)
        return version, await self._models.acquire(model, version)


def _model(name: str) -> str:
    return name.removesuffix(INFERENCE_SUFFIX)


def _bytes_call(kind: type[M], call: Callable[[M, Context], Awaitable[Message]]) -> Call:
    async def handle(data: bytes, context: Context) -> bytes:
        try:
            return (await call(kind.FromString(data), context)).SerializeToString()
        except DecodeError:
            await context.abort(
                grpc.StatusCode.INVALID_ARGUMENT, f"not a message inference.{kind.DESCRIPTOR.name}"
            )
        except TriremeError as error:
            await context.abort(STATUS[error.code], error.detail)
        except Exception:  # the last guard: the client learns that, the log keeps the traceback
            logger.exception("oip_call_failed", call=kind.DESCRIPTOR.name)
            await context.abort(grpc.StatusCode.INTERNAL, "internal error")

    return handle

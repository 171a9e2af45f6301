"""The servicer as gRPC handlers: bytes in, bytes out, errors as statuses, every call counted."""

from __future__ import annotations

import math
import re
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, Protocol, TypeVar

import grpc
import grpc.aio
import structlog
from google.protobuf.message import Message

from trireme_common.errors import Code, TriremeError
from trireme_common.grpc_status import STATUS
from trireme_common.tracing import Tracer, log_ids
from trireme_gateway.context import RequestContext
from trireme_gateway.grpc_front.converters import parse
from trireme_gateway.grpc_front.extensions import ExtensionsServicer
from trireme_gateway.grpc_front.repository import RepositoryServicer
from trireme_gateway.grpc_front.servicer import InferenceServicer
from trireme_gateway.grpc_front.statistics import StatisticsServicer
from trireme_gateway.grpc_front.stream import InferStreams
from trireme_gateway.request_trace import TRACEPARENT, begin, end_grpc
from trireme_gateway.services import Services
from trireme_protos.inference import grpc_service_pb2 as pb

logger = structlog.get_logger(__name__)

SERVICE = "inference.GRPCInferenceService"

_WHOLE_STREAM_FAILS = "triton_grpc_error"
_PROBES = frozenset({"ServerLive", "ServerReady"})
_REQUEST_ID_KEY = "x-request-id"
_CACHE_CONTROL_KEY = "cache-control"
_REQUEST_ID = re.compile(r"[\x21-\x7e]{1,128}")
# Details travel in the trailers, whose size clients limit.
_MAX_DETAIL = 500

M = TypeVar("M", bound=Message)
T = TypeVar("T")
UseCase = Callable[[M, RequestContext], Awaitable[Message]]
Calls = Mapping[str, tuple[type[Any], UseCase[Any]]]
Call = grpc.aio.ServicerContext[bytes, bytes]


class AccessLog(Protocol):
    """Told of every call when it begins and when it is over; `status` is the name of a gRPC code."""

    def begin(self) -> None: ...

    def finish(self, context: RequestContext, status: str) -> None: ...


def build_front(
    services: Services, access_log: AccessLog
) -> tuple[list[grpc.GenericRpcHandler[bytes, bytes]], list[str]]:
    """Handlers and service names for GrpcServer."""
    settings = services.settings
    servicer = InferenceServicer(services)
    streams = InferStreams(
        servicer.infer,
        max_bytes=settings.max_body_bytes,
        timeout_seconds=settings.request_timeout_seconds,
        over=services.draining.over,
    )
    entry = _Entry(settings.request_timeout_seconds, access_log, services.tracer)
    calls = {**_protocol_calls(services, servicer), **_extension_calls(ExtensionsServicer(services))}
    methods = {name: entry.unary(name, kind, use_case) for name, (kind, use_case) in calls.items()}
    methods["ModelInfer"] = entry.raw("ModelInfer", servicer.model_infer)
    methods["ModelStreamInfer"] = entry.stream("ModelStreamInfer", streams)
    return [grpc.method_handlers_generic_handler(SERVICE, methods)], [SERVICE]


def _protocol_calls(services: Services, servicer: InferenceServicer) -> Calls:
    repository = RepositoryServicer(services)
    return {
        "ServerLive": (pb.ServerLiveRequest, servicer.server_live),
        "ServerReady": (pb.ServerReadyRequest, servicer.server_ready),
        "ModelReady": (pb.ModelReadyRequest, servicer.model_ready),
        "ServerMetadata": (pb.ServerMetadataRequest, servicer.server_metadata),
        "ModelMetadata": (pb.ModelMetadataRequest, servicer.model_metadata),
        "ModelStatistics": (pb.ModelStatisticsRequest, StatisticsServicer(services).model_statistics),
        "RepositoryIndex": (pb.RepositoryIndexRequest, repository.index),
        "RepositoryModelLoad": (pb.RepositoryModelLoadRequest, repository.load),
        "RepositoryModelUnload": (pb.RepositoryModelUnloadRequest, repository.unload),
    }


def _extension_calls(servicer: ExtensionsServicer) -> Calls:
    return {
        "ModelConfig": (pb.ModelConfigRequest, servicer.model_config),
        "LogSettings": (pb.LogSettingsRequest, servicer.log_settings),
        "TraceSetting": (pb.TraceSettingRequest, servicer.trace_setting),
        "SystemSharedMemoryStatus": (pb.SystemSharedMemoryStatusRequest, servicer.system_status),
        "SystemSharedMemoryRegister": (pb.SystemSharedMemoryRegisterRequest, servicer.system_register),
        "SystemSharedMemoryUnregister": (pb.SystemSharedMemoryUnregisterRequest, servicer.system_unregister),
        "CudaSharedMemoryStatus": (pb.CudaSharedMemoryStatusRequest, servicer.cuda_status),
        "CudaSharedMemoryRegister": (pb.CudaSharedMemoryRegisterRequest, servicer.cuda_register),
        "CudaSharedMemoryUnregister": (pb.CudaSharedMemoryUnregisterRequest, servicer.cuda_unregister),
    }


class _Entry:
    """Wraps a use case into a handler, as the middleware does it for REST."""

    def __init__(self, timeout_seconds: float, access_log: AccessLog, tracer: Tracer) -> None:
        self._timeout_seconds = timeout_seconds
        self._access_log = access_log
        self._tracer = tracer

    def unary(self, name: str, kind: type[M], use_case: UseCase[M]) -> grpc.RpcMethodHandler[Any, Any]:
        """Handler without serialisers: generated ones answer malformed bytes with UNKNOWN."""

        async def answer(data: bytes, context: RequestContext) -> Message:
            return await use_case(parse(kind, data), context)

        return self.raw(name, answer)

    def raw(
        self, name: str, use_case: Callable[[bytes, RequestContext], Awaitable[Message]]
    ) -> grpc.RpcMethodHandler[Any, Any]:
        """As `unary`, for a use case that parses the request itself."""

        async def handle(data: bytes, call: Call) -> bytes:
            async def answer(context: RequestContext) -> bytes:
                return (await use_case(data, context)).SerializeToString()

            return await self._run(name, call, self._timeout_seconds, answer)

        return grpc.unary_unary_rpc_method_handler(handle)

    def stream(self, name: str, streams: InferStreams) -> grpc.RpcMethodHandler[Any, Any]:
        """A call has no limit of time but the caller's own; its requests have."""

        async def handle(messages: AsyncIterator[bytes], call: Call) -> None:
            async def write(data: bytes) -> None:
                try:
                    await call.write(data)
                except Exception as error:  # grpc's own, which it does not export
                    raise TriremeError(Code.CANCELLED, "the caller left") from error

            async def answer(context: RequestContext) -> None:
                strict = _metadata(call, _WHOLE_STREAM_FAILS) == "true"
                await streams.serve(messages, write, context, strict=strict)

            await self._run(name, call, math.inf, answer)

        return grpc.stream_stream_rpc_method_handler(handle)

    async def _run(
        self,
        name: str,
        call: Call,
        timeout_seconds: float,
        use_case: Callable[[RequestContext], Awaitable[T]],
    ) -> T:
        context = _context(f"/{SERVICE}/{name}", call, timeout_seconds)
        if self._tracer.enabled and name not in _PROBES:
            context.span = begin(self._tracer, _metadata(call, TRACEPARENT))
        call.set_trailing_metadata(((_REQUEST_ID_KEY, context.request_id),))
        status = grpc.StatusCode.CANCELLED  # stands where the caller leaves
        self._access_log.begin()
        try:
            answer = await use_case(context)
            status = grpc.StatusCode.OK
            return answer
        except TriremeError as error:
            status, context.error = STATUS[error.code], error.code
            detail = error.detail
        except Exception:  # the last guard of a call: the caller gets an id, the log the traceback
            logger.exception("request_failed", request_id=context.request_id, **log_ids(context.span))
            status, context.error = grpc.StatusCode.INTERNAL, Code.INTERNAL
            detail = f"internal error; request id {context.request_id}"
        finally:
            self._access_log.finish(context, status.name)
            if context.span is not None:
                end_grpc(context.span, context, status.name)
        return await call.abort(status, detail[:_MAX_DETAIL])


def _metadata(call: Call, wanted: str) -> str:
    return next((str(value) for key, value in call.invocation_metadata() or () if key == wanted), "")


def _context(endpoint: str, call: Call, timeout_seconds: float) -> RequestContext:
    known = dict(call.invocation_metadata() or ())
    given = str(known.get(_REQUEST_ID_KEY, ""))
    request_id = given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
    remaining = call.time_remaining()
    if remaining is not None:
        timeout_seconds = min(timeout_seconds, remaining)
    now = time.monotonic()
    cache_control = str(known.get(_CACHE_CONTROL_KEY, ""))
    return RequestContext(
        request_id, now + timeout_seconds, now, endpoint=endpoint, cache_control=cache_control
    )

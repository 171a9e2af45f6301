"""The servicer as gRPC handlers: bytes in, bytes out, errors as statuses, every call counted."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar

import grpc
import grpc.aio
import structlog
from google.protobuf.message import DecodeError, Message

from trireme_common.errors import Code, TriremeError
from trireme_common.grpc_status import STATUS
from trireme_common.tracing import Tracer, log_ids
from trireme_gateway.context import RequestContext
from trireme_gateway.grpc_front.repository import RepositoryServicer
from trireme_gateway.grpc_front.servicer import InferenceServicer
from trireme_gateway.request_trace import TRACEPARENT, begin, end_grpc
from trireme_gateway.services import Services
from trireme_protos.inference import grpc_service_pb2 as pb

logger = structlog.get_logger(__name__)

SERVICE = "inference.GRPCInferenceService"

_PROBES = frozenset({"ServerLive", "ServerReady"})
_REQUEST_ID_KEY = "x-request-id"
_REQUEST_ID = re.compile(r"[\x21-\x7e]{1,128}")
# Details travel in the trailers, whose size clients limit.
_MAX_DETAIL = 500

M = TypeVar("M", bound=Message)
UseCase = Callable[[M, RequestContext], Awaitable[Message]]
Call = grpc.aio.ServicerContext[bytes, bytes]


class AccessLog(Protocol):
    """Told of every call when it begins and when it is over; `status` is the name of a gRPC code."""

    def begin(self) -> None: ...

    def finish(self, context: RequestContext, status: str) -> None: ...


def build_front(
    services: Services, access_log: AccessLog
) -> tuple[list[grpc.GenericRpcHandler[bytes, bytes]], list[str]]:
    """Handlers and service names for GrpcServer."""
    servicer, repository = InferenceServicer(services), RepositoryServicer(services)
    entry = _Entry(services.settings.request_timeout_seconds, access_log, services.tracer)
    methods = {
        "ServerLive": entry.unary("ServerLive", pb.ServerLiveRequest, servicer.server_live),
        "ServerReady": entry.unary("ServerReady", pb.ServerReadyRequest, servicer.server_ready),
        "ModelReady": entry.unary("ModelReady", pb.ModelReadyRequest, servicer.model_ready),
        "ServerMetadata": entry.unary("ServerMetadata", pb.ServerMetadataRequest, servicer.server_metadata),
        "ModelMetadata": entry.unary("ModelMetadata", pb.ModelMetadataRequest, servicer.model_metadata),
        "ModelInfer": entry.unary("ModelInfer", pb.ModelInferRequest, servicer.model_infer),
        "RepositoryIndex": entry.unary("RepositoryIndex", pb.RepositoryIndexRequest, repository.index),
        "RepositoryModelLoad": entry.unary(
            "RepositoryModelLoad", pb.RepositoryModelLoadRequest, repository.load
        ),
        "RepositoryModelUnload": entry.unary(
            "RepositoryModelUnload", pb.RepositoryModelUnloadRequest, repository.unload
        ),
    }
    return [grpc.method_handlers_generic_handler(SERVICE, methods)], [SERVICE]


class _Entry:
    """Wraps a use case into a handler, as the middleware does it for REST."""

    def __init__(self, timeout_seconds: float, access_log: AccessLog, tracer: Tracer) -> None:
        self._timeout_seconds = timeout_seconds
        self._access_log = access_log
        self._tracer = tracer

    def unary(self, name: str, kind: type[M], use_case: UseCase[M]) -> grpc.RpcMethodHandler[Any, Any]:
        """Handler without serialisers: generated ones answer malformed bytes with UNKNOWN."""

        async def handle(data: bytes, call: Call) -> bytes:
            context = _context(f"/{SERVICE}/{name}", call, self._timeout_seconds)
            if self._tracer.enabled and name not in _PROBES:
                context.span = begin(self._tracer, _metadata(call, TRACEPARENT))
            call.set_trailing_metadata(((_REQUEST_ID_KEY, context.request_id),))
            status = grpc.StatusCode.CANCELLED  # stands where the caller leaves
            self._access_log.begin()
            try:
                answer = (await use_case(_parse(kind, data), context)).SerializeToString()
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

        return grpc.unary_unary_rpc_method_handler(handle)


def _parse(kind: type[M], data: bytes) -> M:
    try:
        return kind.FromString(data)
    except DecodeError as error:
        raise TriremeError(Code.INVALID_ARGUMENT, f"the bytes are no {kind.DESCRIPTOR.full_name}") from error


def _metadata(call: Call, wanted: str) -> str:
    return next((str(value) for key, value in call.invocation_metadata() or () if key == wanted), "")


def _context(endpoint: str, call: Call, timeout_seconds: float) -> RequestContext:
    given = _metadata(call, _REQUEST_ID_KEY)
    request_id = given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
    remaining = call.time_remaining()
    if remaining is not None:
        timeout_seconds = min(timeout_seconds, remaining)
    now = time.monotonic()
    return RequestContext(request_id, now + timeout_seconds, now, endpoint=endpoint)

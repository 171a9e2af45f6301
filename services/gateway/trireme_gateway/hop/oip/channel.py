"""A foreign server over grpc.

Unlike a stream of ours the channel sends no keepalive pings: servers forbid them by default more often than
once in five minutes (`too_many_pings`). Whether a server lives is asked by calls instead.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import grpc
import grpc.aio
import orjson
import structlog
from google.protobuf.message import DecodeError, Message

from trireme_common.errors import Code, TriremeError
from trireme_common.grpc_server import MAX_MESSAGE_BYTES
from trireme_common.stage_state import State, TensorInfo
from trireme_common.triton.document import to_json
from trireme_gateway.hop.oip.ports import Config, IndexEntry, Metadata, Server
from trireme_gateway.hop.oip.statuses import readable, translated
from trireme_protos.inference import grpc_service_pb2 as pb

logger = structlog.get_logger(__name__)

_SERVICE = "/inference.GRPCInferenceService"
_LOOK_SECONDS = 5.0
_OPTIONS = (
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.min_reconnect_backoff_ms", 500),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    # Channels to the same address must not share a connection, or they would share its fate.
    ("grpc.use_local_subchannel_pool", 1),
)

M = TypeVar("M", bound=Message)


@asynccontextmanager
async def open_server(address: str) -> AsyncIterator[Server]:
    """The server at `host:port`; connects at the first call."""
    async with grpc.aio.insecure_channel(address, options=_OPTIONS) as channel:
        yield GrpcServer(channel, address)


class GrpcServer:
    """`Server` over a channel."""

    def __init__(self, channel: grpc.aio.Channel, address: str) -> None:
        self._channel = channel
        self._address = address
        self._infer: Any = channel.unary_unary(f"{_SERVICE}/ModelInfer", None, None)  # raw bytes both ways

    @property
    def connected(self) -> bool:
        return self._channel.get_state(try_to_connect=False) is grpc.ChannelConnectivity.READY

    async def infer(self, message: bytes, seconds: float, traceparent: str) -> bytes:
        metadata = (("traceparent", traceparent),) if traceparent else None
        try:
            answer: bytes = await self._infer(message, timeout=seconds, metadata=metadata)
        except grpc.aio.AioRpcError as error:
            found = translated(error.code(), error.details())
            if found.code in (Code.MODEL_FAILED, Code.INTERNAL):
                logger.warning(
                    "foreign_server_failed",
                    endpoint=self._address,
                    status=error.code().name,
                    details=readable(error.details() or ""),
                )
            raise found from None
        return answer

    async def server_ready(self) -> bool:
        return (await self._ask("ServerReady", pb.ServerReadyRequest(), pb.ServerReadyResponse)).ready

    async def model_ready(self, name: str, version: str) -> bool:
        request = pb.ModelReadyRequest(name=name, version=version)
        return (await self._ask("ModelReady", request, pb.ModelReadyResponse)).ready

    async def index(self) -> list[IndexEntry]:
        answer = await self._ask("RepositoryIndex", pb.RepositoryIndexRequest(), pb.RepositoryIndexResponse)
        return [
            IndexEntry(entry.name, entry.version, _state(entry.state), readable(entry.reason))
            for entry in answer.models
        ]

    async def metadata(self, name: str, version: str) -> Metadata:
        request = pb.ModelMetadataRequest(name=name, version=version)
        answer = await self._ask("ModelMetadata", request, pb.ModelMetadataResponse)
        return Metadata(
            tuple(answer.versions), answer.platform, _infos(answer.inputs), _infos(answer.outputs)
        )

    async def config(self, name: str, version: str) -> Config:
        request = pb.ModelConfigRequest(name=name, version=version)
        found = (await self._ask("ModelConfig", request, pb.ModelConfigResponse)).config
        return Config(orjson.dumps(to_json(found)).decode(), found.max_batch_size)

    async def _ask(self, name: str, request: Message, kind: type[M]) -> M:
        call: Any = self._channel.unary_unary(f"{_SERVICE}/{name}", None, None)
        try:
            return kind.FromString(await call(request.SerializeToString(), timeout=_LOOK_SECONDS))
        except grpc.aio.AioRpcError as error:
            raise translated(error.code(), error.details()) from None
        except DecodeError:
            raise TriremeError(Code.INTERNAL, f"the server answers {name} with another message") from None


def _state(name: str) -> State | None:
    """Triton's states are ours; MLServer writes `State.READY`. One that is not known serves nothing."""
    return State.__members__.get(name.rpartition(".")[2], State.UNAVAILABLE) if name else None


def _infos(tensors: Iterable[pb.ModelMetadataResponse.TensorMetadata]) -> tuple[TensorInfo, ...]:
    return tuple(TensorInfo(tensor.name, tensor.datatype, tuple(tensor.shape)) for tensor in tensors)

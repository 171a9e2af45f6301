"""inference.GRPCInferenceService: the protocol's calls, each a use case that REST has too."""

from __future__ import annotations

from trireme_common import __version__
from trireme_common.errors import Code, TriremeError
from trireme_gateway.context import RequestContext
from trireme_gateway.grpc_front.converters import (
    check_size,
    fill_response,
    from_metadata,
    parse,
    to_request,
)
from trireme_gateway.services import Services
from trireme_gateway.v2.inference import infer, resolve
from trireme_gateway.v2.metadata import model_metadata, server_metadata
from trireme_gateway.v2.offload import THREAD_BYTES, away_from_loop
from trireme_gateway.v2.requests import InferResponse
from trireme_gateway.v2.shared_memory import shared_inputs
from trireme_protos.inference import grpc_service_pb2 as pb


class InferenceServicer:
    """Methods take a parsed message and the request's context, and raise TriremeError."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def server_live(self, _: pb.ServerLiveRequest, context: RequestContext) -> pb.ServerLiveResponse:
        return pb.ServerLiveResponse(live=True)

    async def server_ready(self, _: pb.ServerReadyRequest, context: RequestContext) -> pb.ServerReadyResponse:
        return pb.ServerReadyResponse(ready=self._services.ready)

    async def model_ready(
        self, request: pb.ModelReadyRequest, context: RequestContext
    ) -> pb.ModelReadyResponse:
        """Not ready, rather than an error, for a model that is unknown; as Triton does."""
        try:
            resolve(self._services.catalog, request.name, request.version)
        except TriremeError as error:
            if error.code not in (Code.MODEL_NOT_FOUND, Code.MODEL_NOT_READY):
                raise
            return pb.ModelReadyResponse(ready=False)
        return pb.ModelReadyResponse(ready=True)

    async def server_metadata(
        self, _: pb.ServerMetadataRequest, context: RequestContext
    ) -> pb.ServerMetadataResponse:
        return pb.ServerMetadataResponse(**server_metadata(__version__))

    async def model_metadata(
        self, request: pb.ModelMetadataRequest, context: RequestContext
    ) -> pb.ModelMetadataResponse:
        return from_metadata(model_metadata(self._services.catalog, request.name, request.version))

    async def model_infer(self, data: bytes, context: RequestContext) -> pb.ModelInferResponse:
        """`data` is the request as it came: its size is known before it is parsed."""
        check_size(data, self._services.settings.max_body_bytes)
        answer = pb.ModelInferResponse()
        fill_response(answer, await self.infer(parse(pb.ModelInferRequest, data), len(data), context))
        return answer

    async def infer(self, message: pb.ModelInferRequest, size: int, context: RequestContext) -> InferResponse:
        """Answers one request of ModelInfer or ModelStreamInfer, which had `size` bytes."""
        memory = self._services.shared_memory
        shared = shared_inputs(memory, self._services.settings.max_body_bytes)
        if memory.enabled and any(entry.parameters for entry in message.inputs):
            size = THREAD_BYTES  # what lies in shared memory may be larger than the message
        request = await away_from_loop(lambda: to_request(message, shared), size)
        return await infer(self._services, message.model_name, message.model_version, request, context)

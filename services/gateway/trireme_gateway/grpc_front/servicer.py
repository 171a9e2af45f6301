"""inference.GRPCInferenceService: the protocol's calls, each a use case that REST has too."""

from __future__ import annotations

from trireme_common import __version__
from trireme_common.errors import Code, TriremeError
from trireme_gateway.context import RequestContext
from trireme_gateway.grpc_front.converters import from_metadata, from_response, to_request
from trireme_gateway.services import Services
from trireme_gateway.v2.inference import infer, resolve
from trireme_gateway.v2.metadata import model_metadata, server_metadata
from trireme_gateway.v2.offload import away_from_loop
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

    async def model_infer(
        self, message: pb.ModelInferRequest, context: RequestContext
    ) -> pb.ModelInferResponse:
        size = message.ByteSize()
        limit = self._services.settings.max_body_bytes
        if size > limit:
            raise TriremeError(
                Code.PAYLOAD_TOO_LARGE, f"the request is larger than the limit of {limit} bytes"
            )
        request = await away_from_loop(lambda: to_request(message), size)
        response = await infer(self._services, message.model_name, message.model_version, request, context)
        return from_response(response)

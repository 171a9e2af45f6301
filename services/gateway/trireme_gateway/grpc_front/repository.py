"""Triton's model repository calls, each a use case that REST has too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trireme_gateway.context import RequestContext
from trireme_gateway.repository import check_unload_parameters
from trireme_gateway.services import Services
from trireme_gateway.v2.metadata import repository_index
from trireme_protos.inference import grpc_service_pb2 as pb


class RepositoryServicer:
    """Methods take a parsed message and the request's context, and raise TriremeError."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def index(
        self, request: pb.RepositoryIndexRequest, context: RequestContext
    ) -> pb.RepositoryIndexResponse:
        entries = repository_index(self._services.catalog, ready_only=request.ready)
        models = (pb.RepositoryIndexResponse.ModelIndex(**entry) for entry in entries)
        return pb.RepositoryIndexResponse(models=models)

    async def load(
        self, request: pb.RepositoryModelLoadRequest, context: RequestContext
    ) -> pb.RepositoryModelLoadResponse:
        parameters = _parameters(request.parameters)
        await self._services.repository.load(request.model_name, context.deadline, parameters)
        return pb.RepositoryModelLoadResponse()

    async def unload(
        self, request: pb.RepositoryModelUnloadRequest, context: RequestContext
    ) -> pb.RepositoryModelUnloadResponse:
        check_unload_parameters(_parameters(request.parameters))
        await self._services.repository.unload(request.model_name, context.deadline)
        return pb.RepositoryModelUnloadResponse()


def _parameters(parameters: Mapping[str, pb.ModelRepositoryParameter]) -> dict[str, Any]:
    found = {}
    for name, parameter in parameters.items():
        choice = parameter.WhichOneof("parameter_choice")
        found[name] = None if choice is None else getattr(parameter, choice)
    return found

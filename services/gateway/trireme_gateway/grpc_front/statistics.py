"""Triton's statistics call, a use case that REST has too."""

from __future__ import annotations

from typing import Any

from trireme_gateway.context import RequestContext
from trireme_gateway.services import Services
from trireme_gateway.statistics.model_statistics import ModelStatistics
from trireme_protos.inference import grpc_service_pb2 as pb


class StatisticsServicer:
    """Methods take a parsed message and the request's context, and raise TriremeError."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def model_statistics(
        self, request: pb.ModelStatisticsRequest, context: RequestContext
    ) -> pb.ModelStatisticsResponse:
        found = await self._services.statistics.of(request.name, request.version, context.deadline)
        return pb.ModelStatisticsResponse(model_stats=[_message(one) for one in found])


def _message(one: ModelStatistics) -> pb.ModelStatistics:
    fields: dict[str, Any] = one.plain()
    responses = fields.pop("response_stats")
    message = pb.ModelStatistics(**fields)
    for key, found in responses.items():
        message.response_stats[key].CopyFrom(pb.InferResponseStatistics(**found))
    return message

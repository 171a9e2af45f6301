"""Triton's statistics over gRPC: the same numbers as REST's."""

from __future__ import annotations

from tests.support.catalogs import catalog
from tests.support.gateways import services
from trireme_gateway.context import RequestContext
from trireme_gateway.grpc_front.statistics import StatisticsServicer
from trireme_gateway.services import Services
from trireme_gateway.statistics.model_statistics import Duration, ModelStatistics
from trireme_gateway.statistics.summary import Statistics
from trireme_protos.inference import grpc_service_pb2 as pb

RAN = ModelStatistics(
    "m", "1", 9, 7, 5,
    {"success": Duration(4, 40), "cache_miss": Duration(1, 2)},
    {"0": {"empty_response": Duration(1, 3)}},
    {8: {"compute_infer": Duration(2, 20)}},
    {("CPU", 0): 100},
)  # fmt: skip


async def ask(address: str, name: str, version: str, seconds: float) -> list[ModelStatistics]:
    return [RAN]


def made() -> Services:
    known = services()
    statistics = Statistics(catalog("m"), lambda: ["one"], ask, dict, clock=lambda: 0.0)
    return Services(known.settings, known.catalog, known.pipeline, known.draining, statistics=statistics)


async def test_values_become_a_message() -> None:
    servicer = StatisticsServicer(made())
    request = pb.ModelStatisticsRequest(name="m", version="1")
    (found,) = (await servicer.model_statistics(request, RequestContext("r", deadline=10.0))).model_stats
    assert (found.name, found.version, found.last_inference) == ("m", "1", 9)
    assert (found.inference_count, found.execution_count) == (7, 5)
    assert (found.inference_stats.success.count, found.inference_stats.success.ns) == (4, 40)
    assert found.inference_stats.cache_miss.ns == 2
    assert found.response_stats["0"].empty_response.ns == 3
    assert [(batch.batch_size, batch.compute_infer.ns) for batch in found.batch_stats] == [(8, 20)]
    assert [(usage.type, usage.id, usage.byte_size) for usage in found.memory_usage] == [("CPU", 0, 100)]

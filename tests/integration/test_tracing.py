"""One request is one trace through all four services, and a collector that is down harms nobody."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest

from tests.support.collector import CollectedSpan, Collector, collector
from tests.support.onnx_models import scale, write_version
from tests.support.platform import Platform, copy_models, platform
from tests.support.stage_process import free_port
from trireme_protos.inference import grpc_service_pb2

SERVICES = {"trireme-gateway", "trireme-preprocess", "trireme-inference", "trireme-postprocess"}
# Waits long enough for two callers, so that they surely share a batch.
SPEC = """\
task: tabular
inputs: [{name: x, datatype: FP32, shape: [-1, 4]}]
outputs: [{name: y, datatype: FP32, shape: [-1, 4]}]
batching: {max_batch_size: 8, max_queue_delay_ms: 500, preferred_batch_sizes: [2]}
"""
SAMPLED = "00-{:032x}-00f067aa0ba902b7-01"


@dataclass
class Traced:
    """A platform that exports to a collector."""

    platform: Platform
    collector: Collector
    client: httpx.Client

    def ask(self, data: list[float], **headers: str) -> httpx.Response:
        body = {"data": data}
        return self.client.post("/predict?model=pair", json=body, headers=headers)

    def trace(self, trace_id: str, spans: int) -> dict[str, CollectedSpan]:
        """The spans of a trace by name, once there are so many."""
        self.collector.wait(lambda found: sum(span.trace_id == trace_id for span in found) >= spans)
        found = self.collector.trace(trace_id)
        assert len(found) == spans, sorted((span.service, span.name) for span in found)
        return {span.name: span for span in found}

    def line(self, request_id: str) -> dict[str, Any]:
        """The access-log line of a request."""
        end = time.monotonic() + 10
        while time.monotonic() < end:
            for line in self.platform.requests():
                if line["request_id"] == request_id:
                    return line
            time.sleep(0.05)
        raise AssertionError(f"no log line of {request_id}")


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Traced]:
    models = copy_models(tmp_path_factory.mktemp("models"), "sentiment-zh")
    write_version(models, "pair", 1, scale(2), spec=SPEC)
    settings = {"OTEL_BSP_SCHEDULE_DELAY": "200"}
    with collector() as found:
        settings["TRIREME_OTEL_EXPORTER_ENDPOINT"] = found.url
        folder = tmp_path_factory.mktemp("platform")
        with (
            platform(models, folder, **settings) as started,
            httpx.Client(base_url=started.url, timeout=30) as client,
        ):
            yield Traced(started, found, client)


def test_one_request_is_one_trace_through_all_services(traced: Traced) -> None:
    secret = "这家酒店的秘密非常好"
    answer = traced.client.post("/predict", json={"texts": [secret]}, headers={"x-request-id": "whole"})
    assert answer.status_code == 200
    line = traced.line("whole")
    spans = traced.trace(line["trace_id"], 8)
    assert {span.service for span in spans.values()} == SERVICES

    root = spans["POST /predict"]
    assert (root.span_id, root.parent_id, root.kind) == (line["span_id"], "", "server")
    assert root.attributes["http.route"] == "/predict"
    assert root.attributes["http.request.method"] == "POST"
    assert root.attributes["http.response.status_code"] == 200
    assert root.attributes["trireme.request_id"] == "whole"
    assert root.attributes["trireme.model"] == "sentiment-zh"
    assert root.events["cache.lookup"] == {"trireme.cache.miss": 1}
    for stage in ("preprocess", "inference", "postprocess"):
        call, work = spans[f"call {stage}"], spans[stage]
        assert (call.kind, call.parent_id, call.service) == ("client", root.span_id, "trireme-gateway")
        assert (work.kind, work.parent_id, work.service) == ("server", call.span_id, f"trireme-{stage}")
        assert work.attributes["trireme.items"] == 1
        assert work.attributes["trireme.compute_ms"] > 0
        assert work.seconds <= call.seconds + 0.05
    batch, inference = spans["inference.batch"], spans["inference"]
    assert batch.parent_id == inference.span_id
    assert batch.links == {inference.span_id}
    assert inference.links == {batch.span_id}
    assert not any(span.failed for span in spans.values())
    assert secret not in repr(spans)


def test_the_callers_trace_goes_on(traced: Traced) -> None:
    answer = traced.ask([1, 0, 0, 0], traceparent=SAMPLED.format(0xABC))
    assert answer.status_code == 200
    spans = traced.trace(f"{0xABC:032x}", 8)
    assert spans["POST /predict"].parent_id == "00f067aa0ba902b7"


def test_a_caller_may_decide_against_it(traced: Traced) -> None:
    unsampled = SAMPLED.format(0xDEF)[:-2] + "00"
    assert traced.ask([2, 0, 0, 0], traceparent=unsampled, **{"x-request-id": "quiet"}).status_code == 200
    assert traced.line("quiet")["trace_id"] == f"{0xDEF:032x}"
    assert traced.ask([3, 0, 0, 0], traceparent=SAMPLED.format(0xDF0)).status_code == 200
    traced.trace(f"{0xDF0:032x}", 8)
    assert not traced.collector.trace(f"{0xDEF:032x}")


async def test_a_batch_is_linked_with_the_requests_it_served(traced: Traced) -> None:
    async with httpx.AsyncClient(base_url=traced.platform.url, timeout=30) as client:
        answers = await asyncio.gather(
            *(
                client.post(
                    "/predict?model=pair",
                    json={"data": [number, 1, 0, 0]},
                    headers={"traceparent": SAMPLED.format(number)},
                )
                for number in (0x51, 0x52)
            )
        )
    assert [answer.status_code for answer in answers] == [200, 200]
    ids = [f"{number:032x}" for number in (0x51, 0x52)]
    await asyncio.to_thread(
        traced.collector.wait, lambda found: sum(span.trace_id in ids for span in found) >= 15
    )
    spans = [span for trace_id in ids for span in traced.collector.trace(trace_id)]
    assert Counter(span.name for span in spans)["inference.batch"] == 1
    batch = next(span for span in spans if span.name == "inference.batch")
    members = [span for span in spans if span.name == "inference"]
    assert batch.links == {member.span_id for member in members}
    assert len(batch.links) == 2
    assert batch.attributes["trireme.batch.requests"] == 2
    assert all(member.links == {batch.span_id} for member in members)


async def test_who_waits_for_anothers_answer_is_linked_with_it(traced: Traced) -> None:
    async with httpx.AsyncClient(base_url=traced.platform.url, timeout=30) as client:
        await asyncio.gather(
            *(
                client.post(
                    "/predict?model=pair",
                    json={"data": [7, 7, 7, 7]},
                    headers={"traceparent": SAMPLED.format(number)},
                )
                for number in (0x61, 0x62)
            )
        )
    ids = [f"{number:032x}" for number in (0x61, 0x62)]
    await asyncio.to_thread(
        traced.collector.wait, lambda found: sum(span.trace_id in ids for span in found) >= 9
    )
    roots = [span for trace_id in ids for span in traced.collector.trace(trace_id) if span.kind == "server"]
    roots = [span for span in roots if span.name == "POST /predict"]
    leader = next(span for span in roots if "trireme.cache.miss" in span.events["cache.lookup"])
    joiner = next(span for span in roots if "trireme.cache.coalesced" in span.events["cache.lookup"])
    assert joiner.links == {leader.span_id}
    assert not leader.links


def test_errors_are_recorded_by_their_code(traced: Traced) -> None:
    answer = traced.client.post(
        "/predict", json={"texts": ["  "]}, headers={"traceparent": SAMPLED.format(0x71)}
    )
    assert answer.status_code == 400
    spans = traced.trace(f"{0x71:032x}", 3)
    assert spans["preprocess"].failed
    assert spans["preprocess"].attributes["error.type"] == "blank_text"
    assert spans["call preprocess"].attributes["error.type"] == "blank_text"
    root = spans["POST /predict"]
    assert root.attributes["http.response.status_code"] == 400
    assert root.attributes["trireme.failed"] == 1
    assert not root.failed  # the caller's fault

    assert traced.client.get("/v1/models/none", headers={"traceparent": SAMPLED.format(0x72)}).is_error
    (missing,) = traced.trace(f"{0x72:032x}", 1).values()
    assert missing.attributes["error.type"] == "model_not_found"
    assert missing.name == "GET /v1/models/{model}"


def test_grpc_callers_are_traced_too_and_probes_are_not(traced: Traced) -> None:
    request = grpc_service_pb2.ModelInferRequest(model_name="pair")
    tensor = request.inputs.add(name="features", datatype="FP32", shape=[1, 4])
    tensor.contents.fp32_contents.extend([9, 9, 9, 9])
    with grpc.insecure_channel(traced.platform.grpc) as channel:
        for name, message in (
            ("ServerReady", grpc_service_pb2.ServerReadyRequest()),
            ("ModelInfer", request),
        ):
            call = channel.unary_unary(f"/inference.GRPCInferenceService/{name}", None, None)
            call(message.SerializeToString(), metadata=(("traceparent", SAMPLED.format(0x81)),), timeout=30)
    traced.client.get("/readyz", headers={"traceparent": SAMPLED.format(0x81)})
    spans = traced.trace(f"{0x81:032x}", 8)
    root = spans["inference.GRPCInferenceService/ModelInfer"]
    assert root.attributes["rpc.response.status_code"] == "OK"
    assert {span.service for span in spans.values()} == SERVICES


def test_a_collector_that_is_down_harms_no_request(tmp_path: Path) -> None:
    models = copy_models(tmp_path / "models", "sentiment-zh")
    endpoint = f"http://127.0.0.1:{free_port()}"
    settings = {"TRIREME_OTEL_EXPORTER_ENDPOINT": endpoint, "OTEL_BSP_SCHEDULE_DELAY": "100"}
    with (
        platform(models, tmp_path, **settings) as started,
        httpx.Client(base_url=started.url, timeout=30) as client,
    ):
        answers = [client.post("/predict", json={"texts": [f"酒店 {n}"]}) for n in range(600)]
        assert {answer.status_code for answer in answers} == {200}
        time.sleep(0.5)
        began = time.monotonic()
        assert started.stop() == 0
        assert time.monotonic() - began < 20
        complaints = [line for line in started.log_lines() if line["event"] == "traces_not_exported"]
        assert Counter(line["service"] for line in complaints) == {
            service.removeprefix("trireme-"): 1 for service in SERVICES
        }
        assert not [line for line in started.log_lines() if line.get("level") == "error"]

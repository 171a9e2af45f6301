from __future__ import annotations

import asyncio
import time
from dataclasses import replace

import grpc
import grpc.aio
import pytest
from structlog.testing import capture_logs

from tests.support.catalogs import catalog
from tests.support.gateways import Stages, client, services
from tests.support.hops import FakeHop, RecordingObserver
from tests.unit.gateway.grpc_front.test_front import door
from tests.unit.gateway.v2.fakes import services as protocol_services
from trireme_common.errors import Code, TriremeError
from trireme_common.tracing import RecordingTracer, Span, SpanKind, TraceParent
from trireme_gateway.answer_cache import AnswerCache
from trireme_gateway.cache.cache import ResultCache
from trireme_gateway.cache.events import CacheCounts
from trireme_gateway.cache.memory import MemoryCache
from trireme_gateway.context import RequestContext
from trireme_gateway.relay import Relay
from trireme_protos.inference import grpc_service_pb2 as pb

HEADER = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
ROUTE = catalog("m").resolve("m")


class Traces:
    """Spans that ended; `tracer` makes them."""

    def __init__(self, ratio: float = 1.0) -> None:
        self.ended: list[Span] = []
        self.tracer = RecordingTracer(self.ended.append, ratio)

    def named(self, name: str) -> Span:
        (found,) = [span for span in self.ended if span.name == name]
        return found

    def request(self) -> Span:
        found = self.tracer.start("request", SpanKind.SERVER, None)
        assert found is not None
        return found


async def test_a_request_has_a_span_and_each_hop_one_below_it() -> None:
    traces = Traces()
    made = replace(services(), tracer=traces.tracer)
    with capture_logs() as lines:
        async with client(made) as http:
            headers = {"traceparent": HEADER, "x-request-id": "r1"}
            answer = await http.post("/predict?secret=7", json={"texts": ["secret 好", " "]}, headers=headers)
    assert answer.status_code == 200
    root = traces.named("POST /predict")
    assert (root.kind, root.parent, root.error) == (SpanKind.SERVER, TraceParent.parse(HEADER), "")
    assert root.attributes == {
        "http.request.method": "POST",
        "http.route": "/predict",
        "http.response.status_code": 200,
        "url.scheme": "http",
        "trireme.request_id": "r1",
        "trireme.model": "sentiment-zh",
        "trireme.version": "1",
        "trireme.items": 2,
        "trireme.failed": 1,
        "trireme.cache": "off",
    }
    calls = [traces.named(f"call {stage}") for stage in ("preprocess", "inference", "postprocess")]
    assert [(call.kind, call.parent, call.error) for call in calls] == [
        (SpanKind.CLIENT, root.place, "blank_text"),
        (SpanKind.CLIENT, root.place, ""),
        (SpanKind.CLIENT, root.place, ""),
    ]
    assert calls[1].attributes["trireme.queue_ms"] == 1.0
    (line,) = [line for line in lines if line["event"] == "request"]
    assert line["trace_id"] == HEADER[3:35]
    assert line["span_id"] == f"{root.place.span_id:016x}"
    for span in traces.ended:
        assert "secret" not in repr((span.name, span.attributes, span.events, span.error))


async def test_cold_routes_are_traced_and_probes_are_not() -> None:
    traces = Traces()
    async with client(replace(services(), tracer=traces.tracer)) as http:
        for path in ("/health", "/readyz", "/metrics", "/v1/models", "/v1/models/none", "/secret/path"):
            await http.get(path)
    assert [span.name for span in traces.ended] == ["GET /v1/models", "GET /v1/models/{model}", "GET"]
    missing, unknown = traces.ended[1:]
    assert missing.attributes["error.type"] == "model_not_found"
    assert missing.error == ""
    assert unknown.attributes["http.response.status_code"] == 404
    assert "secret" not in repr(unknown.attributes)


async def test_the_servers_own_failure_is_an_error_of_the_span() -> None:
    stages = Stages(inference=FakeHop(error=TriremeError(Code.BACKEND_UNAVAILABLE, "gone")))
    traces = Traces()
    async with client(replace(services(stages), tracer=traces.tracer)) as http:
        assert (await http.post("/predict", json={"texts": ["好"]})).status_code == 503
    assert traces.named("POST /predict").error == "backend_unavailable"
    assert traces.named("call inference").error == "backend_unavailable"


async def test_a_trace_that_is_not_sampled_has_ids_and_no_spans() -> None:
    traces = Traces(0.0)
    with capture_logs() as lines:
        async with client(replace(services(), tracer=traces.tracer)) as http:
            await http.post("/predict", json={"texts": ["好"]})
    assert not traces.ended
    assert len(lines[-1]["trace_id"]) == 32


async def test_without_tracing_the_log_line_is_as_before() -> None:
    with capture_logs() as lines:
        async with client() as http:
            await http.post("/predict", json={"texts": ["好"]}, headers={"traceparent": HEADER})
    assert not {"trace_id", "span_id"} & lines[-1].keys()


async def test_grpc_calls_are_traced() -> None:
    traces = Traces()
    async with door(replace(protocol_services(), tracer=traces.tracer)) as found:
        metadata = (("traceparent", HEADER),)
        await found.ask("ServerLive", pb.ServerLiveRequest(), pb.ServerLiveResponse, metadata=metadata)
        await found.ask("ServerMetadata", pb.ServerMetadataRequest(), pb.ServerMetadataResponse)
        request = pb.ModelMetadataRequest(name="secret")
        with pytest.raises(grpc.aio.AioRpcError):
            await found.ask("ModelMetadata", request, pb.ModelMetadataResponse, metadata=metadata)
    served, refused = traces.ended
    assert served.name == "inference.GRPCInferenceService/ServerMetadata"
    assert served.attributes["rpc.response.status_code"] == "OK"
    assert refused.parent == TraceParent.parse(HEADER)
    assert refused.attributes["rpc.response.status_code"] == "NOT_FOUND"
    assert refused.attributes["error.type"] == "model_not_found"
    assert refused.error == ""
    assert "secret" not in repr(refused.attributes)


async def run_below(span: Span, hop: FakeHop) -> None:
    relay = Relay([("inference", hop)], RecordingObserver().observe_stage)
    await relay.run(("m", "1"), [b"a", b"b"], RequestContext("r", time.monotonic() + 5, span=span))


async def test_a_hop_is_told_its_place_in_the_trace() -> None:
    traces, hop = Traces(), FakeHop()
    await run_below(traces.request(), hop)
    span = traces.named("call inference")
    assert hop.calls[0].traceparent == span.traceparent
    assert (span.attributes["trireme.items"], span.attributes["trireme.compute_ms"]) == (2, 2.0)


async def test_a_request_that_is_cancelled_ends_the_span_of_its_hop() -> None:
    traces, hop = Traces(), FakeHop()
    hop.gate = asyncio.Event()
    call = asyncio.create_task(run_below(traces.request(), hop))
    while not hop.calls:
        await asyncio.sleep(0)
    call.cancel()
    await asyncio.gather(call, return_exceptions=True)
    assert traces.named("call inference").error == "cancelled"


async def test_lookups_are_events_and_joined_work_is_linked() -> None:
    traces = Traces()
    cache = AnswerCache(ResultCache(MemoryCache(1 << 20), None, CacheCounts()))
    cached = replace(ROUTE, descriptor=replace(ROUTE.descriptor, cache_enabled=True, cache_ttl_seconds=60))
    gate = asyncio.Event()

    async def compute(*_: object) -> list[bytes | TriremeError]:
        await gate.wait()
        return [b"answer"]

    async def ask() -> Span:
        span = traces.request()
        context = RequestContext("r", time.monotonic() + 5, span=span)
        keys = cache.keys(cached, [b"a"])
        if cache.remembered(keys, context) is None:
            await cache.answer(cached, keys, [b"a"], compute, context)
        return span

    leader, joiner = asyncio.create_task(ask()), asyncio.create_task(ask())
    await asyncio.sleep(0.01)
    gate.set()
    led, joined, later = await leader, await joiner, await ask()
    spans = (led, joined, later)
    assert [span.events[0].attributes for span in spans] == [
        {"trireme.cache.miss": 1},
        {"trireme.cache.coalesced": 1},
        {"trireme.cache.hit": 1},
    ]
    assert [span.links for span in spans] == [[], [led.place], []]

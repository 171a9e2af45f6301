from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.support.gateways import client, services
from trireme_common.tracing import Span, SpanKind, TraceParent
from trireme_gateway.extensions.sampling import LocalTickets, Sampler
from trireme_gateway.extensions.settings_tracer import LogRecorder, SettingsTracer
from trireme_gateway.extensions.trace_settings import EVERY_MODEL, TraceSettings

HEADER = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0"


class Recorded:
    """A recorder that keeps what it is told."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.flushed_at: list[int] = []

    def record(self, span: Span) -> None:
        self.spans.append(span)

    def flush(self) -> None:
        self.flushed_at.append(len(self.spans))

    def models(self) -> list[Any]:
        return [span.attributes.get("trireme.model") for span in self.spans if span.kind is SpanKind.SERVER]


class Traced:
    """A gateway in this process whose tracer follows settings."""

    def __init__(self, *, on: bool = True) -> None:
        self.settings = TraceSettings(on)
        self.recorded = Recorded()
        self.tracer = SettingsTracer(self.recorded, self.settings, Sampler(self.settings, LocalTickets()))

    def set(self, model: str, **values: Any) -> None:
        self.settings = self.settings.changed(model, values, f"t{id(values)}")
        self.tracer.apply(self.settings)

    async def ask(self, *paths: str, **headers: str) -> None:
        async with client(replace(services(), tracer=self.tracer)) as http:
            for path in paths:
                answer = await http.post(path, json={"texts": ["好"]}, headers=headers)
                assert answer.status_code in (200, 404)


TEXT = "/predict?model=sentiment-zh"
OTHER = "/predict?model=minilm"


async def test_each_model_has_its_own_settings() -> None:
    traced = Traced()
    traced.set("sentiment-zh", trace_level=["OFF"])
    traced.set("minilm", trace_rate="2")
    await traced.ask(TEXT, OTHER, TEXT, OTHER)
    assert traced.recorded.models() == ["minilm"]
    request = traced.recorded.spans[-1]
    assert {span.parent for span in traced.recorded.spans[:-1]} == {request.place}


async def test_tracing_can_be_switched_on_and_off_again() -> None:
    traced = Traced(on=False)
    assert not traced.tracer.enabled
    traced.set("sentiment-zh", trace_level=["TIMESTAMPS"])
    assert traced.tracer.enabled
    await traced.ask(TEXT, OTHER)
    assert traced.recorded.models() == ["sentiment-zh"]
    traced.set("sentiment-zh", trace_level=None)
    assert not traced.tracer.enabled
    await traced.ask(TEXT)
    assert traced.recorded.models() == ["sentiment-zh"]


@pytest.mark.parametrize(("flag", "models"), [("1", ["sentiment-zh"]), ("0", [])])
async def test_a_caller_has_decided(flag: str, models: list[str]) -> None:
    traced = Traced()
    traced.set(EVERY_MODEL, trace_rate="1000")
    await traced.ask(TEXT, traceparent=HEADER + flag)
    assert traced.recorded.models() == models


async def test_so_many_traces_are_sent_at_once() -> None:
    traced = Traced()
    traced.set(EVERY_MODEL, log_frequency="2")
    await traced.ask(TEXT, TEXT, TEXT)
    assert len(traced.recorded.flushed_at) == 1
    assert traced.recorded.models() == ["sentiment-zh"] * 3


async def test_a_request_that_asks_no_model_is_decided_about_at_its_end() -> None:
    traced = Traced()
    traced.set(EVERY_MODEL, trace_rate="2")
    await traced.ask("/nowhere", "/nowhere")
    assert not traced.recorded.spans
    traced.set(EVERY_MODEL, trace_rate="1")
    await traced.ask("/nowhere")
    assert [span.attributes["http.response.status_code"] for span in traced.recorded.spans] == [404]


def test_where_no_collector_is_named_spans_are_lines_of_the_log() -> None:
    traced = Traced()
    tracer = SettingsTracer(LogRecorder(), traced.settings, Sampler(traced.settings, LocalTickets()))
    with capture_logs() as lines:
        span = tracer.start("GET /", SpanKind.SERVER, TraceParent.parse(HEADER + "1"))
        assert span is not None
        span.note({"http.route": "/"})
        span.event("cache.lookup", {"trireme.cache.hit": 1})
        span.end("internal")
    (line,) = lines
    assert (line["event"], line["name"], line["kind"]) == ("span", "GET /", "server")
    assert (line["trace_id"], line["parent_id"]) == (HEADER[3:35], HEADER[36:52])
    assert (line["error"], line["attributes"]) == ("internal", {"http.route": "/"})
    assert line["events"][0]["trireme.cache.hit"] == 1
    assert line["duration_ms"] >= 0

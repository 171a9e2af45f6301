from __future__ import annotations

import threading
import time
from collections.abc import Sequence

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.trace import StatusCode
from structlog.testing import capture_logs

from tests.support.collector import collector
from trireme_common.errors import SettingsError
from trireme_common.otel_export import DROPPED, OtelExport, PatientExporter
from trireme_common.settings import ServiceSettings, load_settings
from trireme_common.tracing import RecordingTracer, Span, SpanKind, TraceParent, open_tracer

PARENT = TraceParent(0xABC, 0xDEF, True)


def finished(export: OtelExport, name: str = "work", error: str = "") -> Span:
    span = RecordingTracer(export.record).start(name, SpanKind.SERVER, PARENT)
    assert span is not None
    span.end(error)
    return span


class Exporter(SpanExporter):
    """Answers as it is told; `gate` holds it back until it is shut down."""

    def __init__(self, result: SpanExportResult = SpanExportResult.SUCCESS) -> None:
        self.result = result
        self.exported: list[ReadableSpan] = []
        self.gate = threading.Event()
        self.gate.set()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.gate.wait(60)
        self.exported += spans
        return self.result

    def shutdown(self) -> None:
        self.gate.set()


def test_spans_are_sent_as_they_were_recorded() -> None:
    exporter = Exporter()
    export = OtelExport("gateway", "http://nowhere", exporter)
    span = RecordingTracer(export.record).start("work", SpanKind.CLIENT, PARENT)
    assert span is not None
    span.note({"trireme.items": 3})
    span.event("cache.lookup", {"hit": 1})
    span.link(PARENT)
    span.end("internal")
    export.close()
    (sent,) = exporter.exported
    assert (sent.name, sent.kind.name, sent.start_time, sent.end_time) == (
        "work", "CLIENT", span.started, span.ended
    )  # fmt: skip
    assert sent.attributes == {"trireme.items": 3, "error.type": "internal"}
    assert (sent.status.status_code, sent.status.description) == (StatusCode.ERROR, "internal")
    assert sent.parent is not None
    assert sent.parent.span_id == PARENT.span_id
    assert [(event.name, event.attributes) for event in sent.events] == [("cache.lookup", {"hit": 1})]
    assert [link.context.trace_id for link in sent.links] == [PARENT.trace_id]
    assert sent.resource.attributes["service.name"] == "trireme-gateway"


async def test_the_settings_open_an_export_that_is_flushed_at_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with collector() as found:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", found.url)
        async with open_tracer("preprocess", ServiceSettings()) as tracer:
            span = tracer.start("work", SpanKind.SERVER, None)
            assert span is not None
            span.end()
        assert [(span.service, span.name) for span in found.spans] == [("trireme-preprocess", "work")]


def test_what_waits_can_be_sent_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "600000")
    with collector() as found:
        export = OtelExport("gateway", found.url)
        for _ in range(5):
            finished(export)
            export.flush()
        found.wait(lambda spans: len(spans) == 5)
        export.close()


def test_the_platforms_own_setting_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://standard:4317")
    assert ServiceSettings().otel_exporter_endpoint == "http://standard:4317"
    monkeypatch.setenv("TRIREME_OTEL_EXPORTER_ENDPOINT", "")
    assert not ServiceSettings().otel_exporter_endpoint


@pytest.mark.parametrize("name", ["TRIREME_OTEL_EXPORTER_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"])
def test_an_endpoint_without_a_scheme_is_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "collector:4317")
    with pytest.raises(SettingsError, match="OTEL_EXPORTER"):
        load_settings(ServiceSettings)


def test_a_collector_that_does_not_answer_does_not_hold_up_the_end() -> None:
    exporter = Exporter()
    exporter.gate.clear()
    export = OtelExport("gateway", "http://nowhere", exporter)
    finished(export)
    began = time.monotonic()
    export.close()
    assert time.monotonic() - began < 6


def test_memory_is_bounded_while_nothing_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "512")
    exporter = Exporter()
    exporter.gate.clear()
    export = OtelExport("gateway", "http://nowhere", exporter)
    with capture_logs() as lines:
        for number in range(5000):
            finished(export, str(number))
    exporter.gate.set()
    export.close()
    assert len(exporter.exported) <= 3 * 512
    assert not lines


def dropped() -> float:
    return DROPPED.collect()[0].samples[0].value


def test_a_failing_collector_is_left_alone_and_complained_of_once() -> None:
    now = 100.0
    inner = Exporter(SpanExportResult.FAILURE)
    patient = PatientExporter(inner, "http://user:hunter2@nowhere", lambda: now)
    spans = [ReadableSpan("a"), ReadableSpan("b")]
    before = dropped()
    with capture_logs() as lines:
        for _ in range(5):
            assert patient.export(spans) is SpanExportResult.FAILURE
        assert len(inner.exported) == 2
        now += 11
        patient.export(spans)
        assert len(inner.exported) == 4
        inner.result, now = SpanExportResult.SUCCESS, now + 11
        assert patient.export(spans) is SpanExportResult.SUCCESS
    assert [line["event"] for line in lines] == ["traces_not_exported", "traces_exported_again"]
    assert [line["endpoint"] for line in lines] == ["http://user:***@nowhere"] * 2
    assert dropped() - before == 12


def test_a_span_that_cannot_be_sent_does_not_end_the_export() -> None:
    class Broken(Exporter):
        def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
            raise TypeError("no such attribute")

    with capture_logs() as lines:
        assert PatientExporter(Broken(), "http://nowhere").export([]) is SpanExportResult.FAILURE
    assert [line["event"] for line in lines] == ["traces_failed", "traces_not_exported"]

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from trireme_common.settings import ServiceSettings
from trireme_common.tracing import (
    NO_TRACER,
    RecordingTracer,
    Span,
    SpanKind,
    TraceParent,
    log_ids,
    open_tracer,
    wall_ns,
)

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
HEADER = f"00-{TRACE}-{SPAN}-01"


def started(tracer: RecordingTracer, header: str = "") -> Span:
    span = tracer.start("work", SpanKind.SERVER, TraceParent.parse(header))
    assert span is not None
    return span


def test_a_header_is_read_and_written() -> None:
    place = TraceParent.parse(HEADER)
    assert place == (int(TRACE, 16), int(SPAN, 16), True)
    assert str(place) == HEADER
    unsampled = TraceParent.parse(HEADER[:-2] + "02")
    assert unsampled is not None
    assert not unsampled.sampled


@pytest.mark.parametrize(
    "header",
    [
        "",
        "x",
        HEADER.upper(),
        HEADER + "-more",
        HEADER + "\n",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE[:-1]}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-1",
        f"00-{TRACE}-{SPAN[:-1]}١-01",
    ],
)
def test_what_is_no_header_is_passed_over(header: str) -> None:
    assert TraceParent.parse(header) is None


def test_the_known_part_of_a_later_version_is_read() -> None:
    assert TraceParent.parse(f"01-{TRACE}-{SPAN}-01-what-is-to-come") == TraceParent.parse(HEADER)


def test_a_span_stands_below_the_one_that_the_header_names() -> None:
    ended: list[Span] = []
    span = started(RecordingTracer(ended.append), HEADER)
    child = span.child("part", SpanKind.CLIENT)
    child.end()
    span.end("internal")
    span.end("twice")
    assert ended == [child, span]
    assert (span.place.trace_id, span.parent) == (int(TRACE, 16), TraceParent.parse(HEADER))
    assert (child.place.trace_id, child.parent) == (int(TRACE, 16), span.place)
    assert span.error == "internal"
    assert child.traceparent == f"00-{TRACE}-{child.place.span_id:016x}-01"
    assert span.started <= child.started <= child.ended <= span.ended


def test_the_callers_decision_stands() -> None:
    ended: list[Span] = []
    span = started(RecordingTracer(ended.append, 1.0), HEADER[:-2] + "00")
    child = span.child("part")
    for each in (child, span):
        each.note({"a": 1})
        each.event("happened", {})
        each.link(span.place)
        each.end()
    assert not ended
    assert (span.attributes, span.events, span.links) == ({}, [], [])
    assert child.traceparent.endswith("-00")
    assert started(RecordingTracer(ended.append, 0.0), HEADER).place.sampled
    assert log_ids(span) == {"trace_id": TRACE, "span_id": f"{span.place.span_id:016x}"}


@pytest.mark.parametrize(("ratio", "least", "most"), [(0.0, 0, 0), (0.25, 200, 300), (1.0, 1000, 1000)])
def test_a_part_of_the_new_traces_is_kept(ratio: float, least: int, most: int) -> None:
    tracer = RecordingTracer(lambda _: None, ratio)
    assert least <= sum(started(tracer).place.sampled for _ in range(1000)) <= most


def test_links_and_events_are_bounded() -> None:
    span = started(RecordingTracer(lambda _: None))
    for _ in range(1000):
        span.link(span.place)
        span.event("again", {})
    assert (len(span.links), len(span.events)) == (128, 128)


def test_moments_of_the_monotonic_clock_have_a_date() -> None:
    assert wall_ns(time.monotonic() - 10) == pytest.approx(time.time_ns() - 10e9, abs=1e8)


async def test_without_an_endpoint_nothing_is_traced() -> None:
    async with open_tracer("gateway", ServiceSettings()) as tracer:
        assert tracer is NO_TRACER
    assert not tracer.enabled
    assert tracer.start("work", SpanKind.SERVER, None) is None
    assert log_ids(None) == {}


def test_what_does_not_trace_does_not_load_the_sdk() -> None:
    # redis-py loads the SDK's metrics by itself wherever they are installed.
    modules = "trireme_gateway.worker, trireme_inference.bootstrap, trireme_postprocess.bootstrap"
    loaded = "[name for name in sys.modules if 'opentelemetry.sdk.trace' in name or '.otlp' in name]"
    code = f"import sys, {modules}; print({loaded})"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"

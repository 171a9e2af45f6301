from __future__ import annotations

import asyncio

from tests.support.inference_fakes import (
    POISON,
    SIGNATURE,
    FakeBackend,
    Inbox,
    Pending,
    Recorder,
    make_request,
)
from tests.support.stages import until
from trireme_common.errors import Code
from trireme_common.tracing import RecordingTracer, Span, SpanKind, TraceParent
from trireme_inference.batch_policy import BatchPolicy
from trireme_inference.batch_trace import TracedObserver, TracedTelemetry
from trireme_inference.batcher import Batcher
from trireme_inference.execution import Execution


class Traced:
    """A batcher whose batches are traced, and the spans that ended."""

    def __init__(self) -> None:
        self.ended: list[Span] = []
        self.inbox = Inbox()
        self.recorder = Recorder()
        self._tracer = RecordingTracer(self.ended.append)
        self._batcher = Batcher(
            Execution("fake", FakeBackend(), SIGNATURE).run,
            BatchPolicy(32),
            asyncio.get_running_loop(),
            observer=TracedObserver(self.recorder, "fake", "1"),
        )

    def span(self, trace: int, *, sampled: bool = True) -> Span:
        found = self._tracer.start("inference", SpanKind.SERVER, TraceParent(trace, 1, sampled))
        assert found is not None
        return found

    async def run(self, *members: tuple[Span | None, float]) -> None:
        """Runs a batch of one row a member."""
        requests = [make_request(self.inbox, [[value]]) for _, value in members]
        for request, (span, _) in zip(requests, members, strict=True):
            request.span = span
        self._batcher.submit(requests)
        await until(lambda: len(self.inbox.answers) == len(members))
        await self._batcher.close()


async def test_a_batch_is_linked_with_every_request_it_served() -> None:
    traced = Traced()
    first, second, quiet = traced.span(0xA), traced.span(0xB), traced.span(0xC, sampled=False)
    await traced.run((first, 1), (second, 2), (first, 3), (quiet, 4), (None, 5))
    (batch,) = traced.ended
    assert (batch.name, batch.kind, batch.error) == ("inference.batch", SpanKind.INTERNAL, "")
    assert (batch.place.trace_id, batch.parent) == (0xA, first.place)
    assert batch.links == [first.place, second.place]
    assert first.links == second.links == [batch.place]
    assert quiet.links == []
    assert batch.attributes["trireme.batch.rows"] == 5
    assert batch.attributes["trireme.batch.requests"] == 2
    assert batch.attributes["trireme.batch.reason"] == "idle"
    assert 0 <= batch.ended - batch.started < 5e9
    assert len(traced.recorder.reports) == 1


async def test_a_failed_run_is_recorded_by_its_code() -> None:
    traced = Traced()
    await traced.run((traced.span(0xA), POISON))
    (batch,) = traced.ended
    assert batch.error == Code.MODEL_FAILED.value
    assert traced.recorder.failed == [Code.MODEL_FAILED]


async def test_requests_that_are_not_traced_leave_no_span() -> None:
    traced = Traced()
    await traced.run((None, 1), (traced.span(0xC, sampled=False), 2))
    assert not traced.ended


def test_what_is_counted_is_counted_as_before() -> None:
    telemetry = TracedTelemetry(Pending())
    assert isinstance(telemetry.observer("m", "1"), TracedObserver)
    assert telemetry.watch_pending("m", "1", lambda: 0)() is None

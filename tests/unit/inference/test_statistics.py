"""What is counted of a version, with Triton's meanings: by hand, and through a scheduler."""

import asyncio
import threading
from dataclasses import astuple
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from tests.support.inference_fakes import POISON, SIGNATURE, FakeBackend, FakeCaller, Inbox, make_request
from tests.support.stages import until
from trireme_common.errors import Code
from trireme_inference.batch_policy import BatchPolicy, CloseReason
from trireme_inference.batcher import Batcher
from trireme_inference.execution import Execution
from trireme_inference.metrics import InferenceMetrics
from trireme_inference.observer import BatchReport, Served, served_by
from trireme_inference.requests import Answer, RunTimes
from trireme_inference.statistics import BatchCounts, Reason, Statistics, Times, VersionStatistics, reason_of


class Scheduled:
    """A scheduler whose work is counted."""

    def __init__(self, max_rows: int = 32, gate: threading.Event | None = None, **options: Any) -> None:
        statistics = Statistics()
        self.inbox, self.backend = Inbox(), FakeBackend(gate)
        self.counts = statistics.of("m", "1")
        self.registry = CollectorRegistry()
        self.batcher = Batcher(
            Execution("m", self.backend, SIGNATURE).run,
            BatchPolicy(max_rows),
            asyncio.get_running_loop(),
            observer=InferenceMetrics(self.registry, statistics).observer("m", "1"),
            **options,
        )

    async def answered(self, count: int) -> None:
        await until(lambda: len(self.inbox.answers) == count)

    def failed(self) -> dict[str, int]:
        return {reason.value: count for reason, count in self.counts.failures.items() if count}


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (Code.OVERLOADED, Reason.REJECTED),
        (Code.DEADLINE_EXCEEDED, Reason.REJECTED),
        (Code.CANCELLED, Reason.CANCELED),
        (Code.MODEL_FAILED, Reason.BACKEND),
        (Code.INPUT_QUARANTINED, Reason.BACKEND),
        (Code.MODEL_NOT_READY, Reason.OTHER),
        (Code.INTERNAL, Reason.OTHER),
    ],
)
def test_our_codes_are_tritons_reasons(code: Code, reason: Reason) -> None:
    assert reason_of(code) is reason


def test_a_run_counts_once_for_each_of_its_requests_and_once_for_its_rows() -> None:
    counts = VersionStatistics(clock=lambda: 1234.5678)
    run = RunTimes(5, 0.25, 0.5, 0.125)
    requests = [make_request(Inbox(), [[1.0]]), make_request(Inbox(), [[1.0]] * 4)]
    for request in requests:
        request.arrived = 10.0
    answers = [Answer(request, queue_seconds=1.0, run=run) for request in requests]
    report = BatchReport(CloseReason.IDLE, 5, served_by(answers, 13.0), 5, 1.0, 0.875, [run], answers)
    counts.batch(report)
    counts.batch(report)
    assert (counts.successes, counts.inferences, counts.executions) == (4, 10, 2)
    assert (counts.success_seconds, counts.queue_seconds) == (12.0, 4.0)
    assert counts.compute == Times(1.0, 2.0, 0.5)
    assert counts.batches == {5: BatchCounts(0.5, 1.0, 0.25, count=2)}
    assert counts.last_inference == 1234.5678


def test_nobody_served_is_nothing() -> None:
    assert served_by([], 5.0) == Served()


def test_a_version_that_is_loaded_again_goes_on_counting() -> None:
    statistics = Statistics()
    statistics.of("m", "1").failures_of(Code.INTERNAL, 2, 0.5)
    again = statistics.of("m", "1")
    assert (again.failed, again.fail_seconds) == (2, 0.5)
    assert list(statistics.all()) == [("m", "1")]


async def test_requests_rows_runs_and_their_time() -> None:
    scheduled = Scheduled()
    scheduled.batcher.submit([make_request(scheduled.inbox, [[1.0]] * rows) for rows in (1, 2, 3)])
    await scheduled.answered(3)
    scheduled.batcher.submit([make_request(scheduled.inbox, [[1.0]] * 6)])
    await scheduled.answered(4)
    counts = scheduled.counts
    assert (counts.successes, counts.inferences, counts.executions, counts.failed) == (4, 12, 2, 0)
    assert {rows: batch.count for rows, batch in counts.batches.items()} == {6: 2}
    computed = sum(astuple(counts.compute))
    assert 0 < computed <= counts.success_seconds - counts.queue_seconds + 1e-9
    # Three of the four shared a run, which counts for each of them.
    of_runs = sum(batch.infer_seconds for batch in counts.batches.values())
    assert of_runs < counts.compute.infer_seconds <= 3 * of_runs
    await scheduled.batcher.close()


async def test_a_long_request_is_one_request_however_many_runs_it_takes() -> None:
    scheduled = Scheduled(max_rows=2)
    scheduled.batcher.submit([make_request(scheduled.inbox, [[1.0]] * 5)])
    await scheduled.answered(1)
    counts = scheduled.counts
    assert (counts.successes, counts.inferences, counts.executions) == (1, 5, 3)
    assert {rows: batch.count for rows, batch in counts.batches.items()} == {2: 2, 1: 1}
    assert counts.compute.infer_seconds == pytest.approx(
        sum(batch.infer_seconds for batch in counts.batches.values()), rel=1e-6
    )
    assert counts.success_seconds > counts.compute.infer_seconds
    await scheduled.batcher.close()


async def test_a_long_request_fails_once() -> None:
    scheduled = Scheduled(max_rows=1)
    scheduled.batcher.submit([make_request(scheduled.inbox, [[POISON], [1.0], [POISON], [2.0]])])
    await scheduled.answered(1)
    await scheduled.batcher.close()
    assert (scheduled.counts.successes, scheduled.failed()) == (0, {"BACKEND": 1})


async def test_failures_have_tritons_reasons_and_take_time() -> None:
    gate = threading.Event()
    scheduled = Scheduled(1, gate, max_queue_size=3)
    batcher, inbox, caller = scheduled.batcher, scheduled.inbox, FakeCaller()
    batcher.submit([make_request(inbox, [[1.0]])])
    await until(scheduled.backend.started.is_set)
    batcher.submit([make_request(inbox, [[POISON]]), make_request(inbox, [[1.0]], caller=caller)])
    batcher.submit([make_request(inbox, [[1.0]], seconds=0.05), make_request(inbox, [[1.0]])])
    caller.cancelled = True
    await scheduled.answered(2)
    gate.set()
    await scheduled.answered(5)
    assert scheduled.failed() == {"REJECTED": 2, "CANCELED": 1, "BACKEND": 1}
    assert scheduled.counts.successes == 1
    assert scheduled.counts.fail_seconds >= 0.05
    await batcher.close()
    batcher.submit([make_request(inbox, [[1.0]])])
    assert scheduled.failed()["OTHER"] == 1


async def test_triton_and_prometheus_read_the_same_counters() -> None:
    scheduled = Scheduled()
    scheduled.batcher.submit(
        [make_request(scheduled.inbox, [[1.0]]), make_request(scheduled.inbox, [[POISON]])]
    )
    await scheduled.answered(2)
    await scheduled.batcher.close()
    counts = scheduled.counts

    def read(name: str, **labels: str) -> float | None:
        labels = {"model": "m", "version": "1", **labels}
        return scheduled.registry.get_sample_value(f"nv_inference_{name}", labels)

    assert read("request_success") == counts.successes == 1
    assert read("request_failure", reason="BACKEND") == counts.failures[Reason.BACKEND] == 1
    assert read("request_failure", reason="OTHER") == 0
    assert read("count") == counts.inferences == 1
    assert read("exec_count") == counts.executions == 1
    assert read("request_duration_us") == int(counts.success_seconds * 1e6)
    assert read("queue_duration_us") == int(counts.queue_seconds * 1e6)
    assert read("compute_input_duration_us") == int(counts.compute.input_seconds * 1e6)
    assert read("compute_infer_duration_us") == int(counts.compute.infer_seconds * 1e6)
    assert read("compute_output_duration_us") == int(counts.compute.output_seconds * 1e6)

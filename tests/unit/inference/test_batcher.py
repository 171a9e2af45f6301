"""Enforcement: bounds, deadlines, cancellation, isolation, order, delivery."""

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from tests.support.inference_fakes import (
    POISON,
    SIGNATURE,
    FakeBackend,
    FakeCaller,
    Inbox,
    Recorder,
    make_request,
)
from trireme_common.errors import Code
from trireme_common.stage_state import TensorInfo
from trireme_inference.adaptive_policy import AdaptivePolicy
from trireme_inference.batch_policy import BatchPolicy, CloseReason, Policy
from trireme_inference.batcher import Batcher
from trireme_inference.execution import Execution
from trireme_inference.requests import Answer, Request
from trireme_inference.signature import Signature


def make_batcher(
    backend: FakeBackend,
    policy: Policy | None = None,
    *,
    signature: Signature = SIGNATURE,
    **options: Any,
) -> Batcher:
    run = Execution("fake", backend, signature).run
    return Batcher(run, policy or BatchPolicy(32), asyncio.get_running_loop(), **options)


async def until(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "did not happen in time"
        await asyncio.sleep(0.001)


async def test_requests_that_wait_together_run_together_and_come_back_in_one_call() -> None:
    backend, inbox, recorder = FakeBackend(), Inbox(), Recorder()
    batcher = make_batcher(backend, observer=recorder)
    requests = [make_request(inbox, [[number, 1]]) for number in range(5)]
    batcher.submit(requests)
    await until(lambda: len(inbox.answers) == 5)
    assert len(backend.runs) == len(inbox.calls) == 1
    assert [answer.request for answer in inbox.answers] == requests
    for number, request in enumerate(requests):
        np.testing.assert_array_equal(inbox.values(request), [[2 * number, 2]])
    (report,) = recorder.reports
    assert (report.reason, report.batch_rows, report.served.requests) == (CloseReason.IDLE, 5, 5)
    assert (report.rows, [run.rows for run in report.runs]) == (5, [5])
    await batcher.close()


async def test_ragged_requests_never_mix() -> None:
    backend, inbox = FakeBackend(), Inbox()
    batcher = make_batcher(backend)
    requests = [make_request(inbox, [[1.0] * (1 + number % 2)]) for number in range(6)]
    batcher.submit(requests)
    await until(lambda: len(inbox.answers) == 6)
    assert sorted(run.shape for run in backend.runs) == [(3, 1), (3, 2)]
    await batcher.close()


async def test_only_the_guilty_request_fails() -> None:
    backend, inbox, recorder = FakeBackend(), Inbox(), Recorder()
    batcher = make_batcher(backend, observer=recorder)
    requests = [make_request(inbox, [[POISON if number == 13 else number]]) for number in range(32)]
    batcher.submit(requests)
    await until(lambda: len(inbox.answers) == 32)
    assert inbox.codes.count(Code.MODEL_FAILED) == 1
    assert inbox.codes[13] is Code.MODEL_FAILED
    for number, request in enumerate(requests):
        if number != 13:
            assert inbox.values(request) == 2 * number
    assert len(backend.runs) <= 1 + 2 * 5
    assert recorder.failed == [Code.MODEL_FAILED]
    await batcher.close()


async def test_an_instance_takes_its_next_batch_without_the_event_loop() -> None:
    runs: list[int] = []
    third = threading.Event()

    def run(batch: Sequence[Request]) -> list[Answer]:
        runs.append(len(batch))
        if len(runs) == 3:
            third.set()
        return [Answer(request) for request in batch]

    inbox = Inbox()
    batcher = Batcher(run, BatchPolicy(2), asyncio.get_running_loop())
    batcher.submit([make_request(inbox, [[float(number)]]) for number in range(5)])
    await asyncio.sleep(0)  # the first one is given to the instance
    assert third.wait(5), "the loop stood still, and the instance with it"
    await until(lambda: len(inbox.answers) == 5)
    assert runs == [2, 2, 1]
    assert not batcher.pending
    await batcher.close()


async def test_closing_waits_for_answers_that_the_event_loop_has_not_heard_of() -> None:
    ran = threading.Event()

    def run(batch: Sequence[Request]) -> list[Answer]:
        ran.set()
        return [Answer(request) for request in batch]

    inbox = Inbox()
    batcher = Batcher(run, BatchPolicy(2), asyncio.get_running_loop())
    batcher.submit([make_request(inbox, [[1.0]])])
    await asyncio.sleep(0)  # it is given to the instance
    assert ran.wait(5)
    time.sleep(0.05)  # the instance ends its batch while the loop stands still
    await batcher.close()
    assert len(inbox.answers) == 1


async def test_an_expired_request_is_answered_on_time_although_the_device_is_busy() -> None:
    gate = threading.Event()
    backend, inbox = FakeBackend(gate), Inbox()
    batcher = make_batcher(backend)
    batcher.submit([make_request(inbox, [[1.0]])])
    await until(backend.started.is_set)
    late = make_request(inbox, [[2.0]], seconds=0.05)
    batcher.submit([late])
    await until(lambda: bool(inbox.answers))
    assert 0 <= time.monotonic() - late.deadline < 0.5
    assert inbox.codes == [Code.DEADLINE_EXCEEDED]
    assert inbox.answers[0].request is late
    gate.set()
    await until(lambda: len(inbox.answers) == 2)
    await batcher.close()
    assert len(backend.runs) == 1


async def test_a_run_that_outlasts_the_deadline_is_answered_at_the_deadline_and_only_once() -> None:
    gate = threading.Event()
    backend, inbox = FakeBackend(gate), Inbox()
    batcher = make_batcher(backend)
    batcher.submit([make_request(inbox, [[1.0]], seconds=0.05)])
    await until(lambda: bool(inbox.answers))
    assert inbox.codes == [Code.DEADLINE_EXCEEDED]
    gate.set()
    await batcher.close()
    assert len(inbox.answers) == 1


async def test_a_request_that_comes_too_late_is_refused() -> None:
    backend, inbox = FakeBackend(), Inbox()
    batcher = make_batcher(backend)
    batcher.submit([make_request(inbox, [[1.0]], seconds=-1)])
    assert inbox.codes == [Code.DEADLINE_EXCEEDED]
    await batcher.close()
    assert not backend.runs


async def test_whoever_left_never_reaches_the_device() -> None:
    gate = threading.Event()
    backend, inbox = FakeBackend(gate), Inbox()
    batcher = make_batcher(backend)
    batcher.submit([make_request(inbox, [[1.0]])])
    await until(backend.started.is_set)
    callers = [FakeCaller() for _ in range(4)]
    batcher.submit([make_request(inbox, [[number]], caller=caller) for number, caller in enumerate(callers)])
    callers[0].cancelled = callers[2].cancelled = True
    gate.set()
    await until(lambda: len(inbox.answers) == 5)
    assert inbox.codes.count(Code.CANCELLED) == 2
    assert [run.ravel().tolist() for run in backend.runs] == [[1.0], [1.0, 3.0]]
    await batcher.close()


async def test_the_queue_is_bounded_and_those_who_left_make_room() -> None:
    gate = threading.Event()
    backend, inbox = FakeBackend(gate), Inbox()
    batcher = make_batcher(backend, max_queue_size=2)
    batcher.submit([make_request(inbox, [[1.0]])])
    await until(backend.started.is_set)
    leaver = FakeCaller()
    waiting = [make_request(inbox, [[2.0]], caller=leaver), make_request(inbox, [[3.0]])]
    batcher.submit([*waiting, make_request(inbox, [[4.0]])])
    assert inbox.codes == [Code.OVERLOADED]
    assert batcher.pending == 2
    leaver.cancelled = True
    await asyncio.sleep(0.06)
    batcher.submit([make_request(inbox, [[5.0]])])
    assert inbox.codes == [Code.OVERLOADED, Code.CANCELLED]
    gate.set()
    await until(lambda: len(inbox.answers) == 5)
    await batcher.close()


async def test_a_request_with_more_rows_than_a_run_takes_is_cut_and_put_together() -> None:
    backend, inbox = FakeBackend(), Inbox()
    batcher = make_batcher(backend, BatchPolicy(4))
    long = make_request(inbox, [[number] for number in range(11)])
    short = make_request(inbox, [[100.0]])
    batcher.submit([long, short])
    await until(lambda: len(inbox.answers) == 2)
    np.testing.assert_array_equal(inbox.values(long).ravel(), np.arange(11) * 2)
    assert inbox.values(short) == 200
    assert [len(run) for run in backend.runs] == [4, 4, 4]
    await batcher.close()


async def test_a_long_request_fails_whole_and_once() -> None:
    backend, inbox = FakeBackend(), Inbox()
    batcher = make_batcher(backend, BatchPolicy(2))
    batcher.submit([make_request(inbox, [[POISON], [1], [2], [3], [POISON]])])
    await until(lambda: bool(inbox.answers))
    await batcher.close()
    assert inbox.codes == [Code.MODEL_FAILED]


async def test_a_full_queue_refuses_the_least_important() -> None:
    gate = threading.Event()
    backend, inbox = FakeBackend(gate), Inbox()
    batcher = make_batcher(backend, BatchPolicy(1), max_queue_size=2, priority_levels=3)
    batcher.submit([make_request(inbox, [[0.0]])])
    await until(backend.started.is_set)
    low, middle, high, default, late = requests = [
        make_request(inbox, [[float(number)]], priority=priority)
        for number, priority in enumerate((3, 2, 1, 0, 99))
    ]
    batcher.submit(requests)
    # Without a level, or with one that does not exist, a request has the middle one: it displaces no equal.
    assert [(answer.request, answer.error and answer.error.code) for answer in inbox.answers] == [
        (low, Code.OVERLOADED),
        (default, Code.OVERLOADED),
        (late, Code.OVERLOADED),
    ]
    assert batcher.pending == 2
    gate.set()
    await until(lambda: len(inbox.answers) == 6)
    assert [answer.request for answer in inbox.answers[-2:]] == [high, middle]
    await batcher.close()


async def test_a_request_that_is_refused_displaces_nobody() -> None:
    gate = threading.Event()
    backend, inbox = FakeBackend(gate), Inbox()
    batcher = make_batcher(backend, BatchPolicy(1), max_queue_size=3, priority_levels=2)
    batcher.submit([make_request(inbox, [[0.0]], priority=1)])
    await until(backend.started.is_set)
    batcher.submit([make_request(inbox, [[float(level)]], priority=level) for level in (2, 1, 1)])
    # Two slices: the one place that can be made is not enough.
    long = make_request(inbox, [[1.0], [2.0]], priority=1)
    batcher.submit([long])
    assert [(answer.request, answer.error and answer.error.code) for answer in inbox.answers] == [
        (long, Code.OVERLOADED)
    ]
    assert batcher.pending == 3
    gate.set()
    await batcher.close()
    assert inbox.codes == [Code.OVERLOADED, None, None, None, None]


async def test_what_a_batch_took_in_pieces_is_not_the_cost_of_its_rows() -> None:
    backend, inbox = FakeBackend(), Inbox()
    policy = BatchPolicy(4, max_delay_seconds=0.001)
    batcher = make_batcher(backend, policy)
    batcher.submit([make_request(inbox, [[number]]) for number in (1.0, POISON, 2.0)])
    await until(lambda: len(inbox.answers) == 3)
    assert policy.costs.points == []
    batcher.submit([make_request(inbox, [[number]]) for number in (1.0, 2.0)])
    await until(lambda: len(inbox.answers) == 5)
    assert [rows for rows, _ in policy.costs.points] == [2]
    await batcher.close()


async def test_an_objective_closes_batches_by_what_was_learnt() -> None:
    backend, inbox, recorder = FakeBackend(), Inbox(), Recorder()
    policy = AdaptivePolicy(8, 5.0)
    batcher = make_batcher(backend, policy, observer=recorder)
    for number in range(40):
        batcher.submit([make_request(inbox, [[float(number)]])])
        await until(lambda number=number: len(inbox.answers) == number + 1)  # type: ignore[misc]
    # Nobody else is there to wait for.
    assert {report.reason for report in recorder.reports} <= {CloseReason.GOAL, CloseReason.IDLE}
    assert policy.costs_of(((1,),)).seconds(1) > 0
    await batcher.close()


async def test_more_rows_than_the_queue_will_ever_hold_are_the_callers_mistake() -> None:
    backend, inbox = FakeBackend(), Inbox()
    batcher = make_batcher(backend, BatchPolicy(2), max_queue_size=2)
    batcher.submit([make_request(inbox, [[0.0]] * 5)])
    assert inbox.codes == [Code.INVALID_ARGUMENT]
    await batcher.close()


async def test_several_instances_run_at_once() -> None:
    gate = threading.Event()
    backend, inbox = FakeBackend(gate), Inbox()
    batcher = make_batcher(backend, BatchPolicy(1), instances=2)
    batcher.submit([make_request(inbox, [[float(number)]]) for number in range(3)])
    await until(lambda: len(backend.runs) == 2)
    gate.set()
    await until(lambda: len(inbox.answers) == 3)
    await batcher.close()


async def test_a_model_that_does_not_batch_gets_one_request_at_a_time() -> None:
    signature = Signature(
        (TensorInfo("x", "FP32", (2, -1)),), (TensorInfo("y", "FP32", (2, -1)),), batchable=False
    )
    backend, inbox = FakeBackend(), Inbox()
    batcher = make_batcher(backend, BatchPolicy(1), signature=signature)
    array = np.ones((2, 3), np.float32)
    requests = []
    for _ in range(2):
        made = make_request(inbox, [[0.0]], signature=signature)
        made.parts, made.shapes = (array.tobytes(),), (array.shape,)
        requests.append(made)
    batcher.submit(requests)
    await until(lambda: len(inbox.answers) == 2)
    assert [run.shape for run in backend.runs] == [(2, 3), (2, 3)]
    np.testing.assert_array_equal(inbox.values(requests[1]), array * 2)
    await batcher.close()


async def test_the_delay_gathers_requests_of_several_submissions() -> None:
    backend, inbox, recorder = FakeBackend(), Inbox(), Recorder()
    batcher = make_batcher(backend, BatchPolicy(8, max_delay_seconds=0.3), observer=recorder)
    for number in range(3):
        batcher.submit([make_request(inbox, [[float(number)]])])
        await asyncio.sleep(0)
    await until(lambda: len(inbox.answers) == 3)
    assert [report.reason for report in recorder.reports] == [CloseReason.DELAY]
    await batcher.close()


async def test_closing_answers_what_waits_without_its_delay_and_refuses_what_comes_after() -> None:
    backend, inbox = FakeBackend(), Inbox()
    batcher = make_batcher(backend, BatchPolicy(8, max_delay_seconds=30.0))
    batcher.submit([make_request(inbox, [[1.0]], seconds=100)])
    await asyncio.wait_for(batcher.close(), 5)
    batcher.submit([make_request(inbox, [[2.0]])])
    assert inbox.codes == [None, Code.MODEL_NOT_READY]


async def test_closing_gives_up_on_a_run_that_does_not_end() -> None:
    gate = threading.Event()
    backend, inbox = FakeBackend(gate), Inbox()
    batcher = make_batcher(backend)
    batcher.submit([make_request(inbox, [[1.0]])])
    await until(backend.started.is_set)
    await batcher.close(grace_seconds=0.02)
    gate.set()
    assert inbox.codes == [Code.MODEL_NOT_READY]


@pytest.mark.parametrize("count", [2000])
async def test_answered_requests_keep_no_memory(count: int) -> None:
    backend, inbox = FakeBackend(), Inbox()
    batcher = make_batcher(backend)
    requests = [make_request(inbox, [[1.0]], seconds=1000) for _ in range(count)]
    batcher.submit(requests)
    await until(lambda: len(inbox.answers) == count)
    assert not any(request.parts for request in requests)
    assert batcher.pending == 0
    await batcher.close()


async def test_a_request_waits_no_longer_than_the_queue_lets_it_and_runs_as_long_as_its_own_deadline() -> (
    None
):
    gate = threading.Event()
    backend, inbox = FakeBackend(gate), Inbox()
    batcher = make_batcher(backend, queue_seconds=0.05)
    running = make_request(inbox, [[1.0]])
    batcher.submit([running])
    await until(backend.started.is_set)
    waiting = make_request(inbox, [[2.0]])
    batcher.submit([waiting])
    await until(lambda: bool(inbox.answers))
    assert inbox.answers[0].request is waiting
    assert inbox.codes == [Code.DEADLINE_EXCEEDED]
    gate.set()
    await until(lambda: len(inbox.answers) == 2)
    np.testing.assert_array_equal(inbox.values(running), [[2]])
    await batcher.close()
    assert len(backend.runs) == 1


async def test_a_request_without_a_level_has_the_default_one() -> None:
    gate = threading.Event()
    backend, inbox = FakeBackend(gate), Inbox()
    batcher = make_batcher(backend, BatchPolicy(1), priority_levels=3, default_level=1)
    batcher.submit([make_request(inbox, [[0.0]])])
    await until(backend.started.is_set)
    low, middle, default = requests = [
        make_request(inbox, [[float(number)]], priority=priority) for number, priority in enumerate((3, 2, 0))
    ]
    batcher.submit(requests)
    gate.set()
    await until(lambda: len(inbox.answers) == 4)
    assert [answer.request for answer in inbox.answers[1:]] == [default, middle, low]
    await batcher.close()

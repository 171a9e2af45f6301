"""Real worker processes: what they run, how they die, and that nothing of them is left behind."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from tests.support import crashing
from tests.support.inference_fakes import Inbox, make_request
from tests.support.processes import eventually, gone
from tests.support.workers import Counts
from trireme_common.errors import Code, SpecError
from trireme_common.tensors import Array
from trireme_inference.backend import DeviceError, OpenOptions, RunError
from trireme_inference.crash_policy import CrashPolicy
from trireme_inference.execution import Execution
from trireme_inference.quarantine import Quarantine
from trireme_inference.requests import Answer, Request
from trireme_inference.signature import Signature
from trireme_inference.workers.channel import socket_pair
from trireme_inference.workers.segment import SegmentPool
from trireme_inference.workers.spawner import Spawner, SpawnError
from trireme_inference.workers.worker import Worker, WorkerLost
from trireme_inference.workers.worker_set import WorkerSet

SIGNATURE = Signature(crashing.Doubler.inputs, crashing.Doubler.outputs)
Start = Callable[..., WorkerSet]


@pytest.fixture(scope="module")
def spawner() -> Iterator[Spawner]:
    spawner = Spawner()
    yield spawner
    spawner.close()


@pytest.fixture
def counts() -> Counts:
    return Counts()


@pytest.fixture
def start(spawner: Spawner, tmp_path: Path, counts: Counts) -> Iterator[Start]:
    """Starts sets of workers over the model in `tmp_path`; they are closed at the end."""
    started: list[WorkerSet] = []

    def one(opener: str = "open_doubler", *, instances: int = 1, hang_seconds: float = 10.0) -> WorkerSet:
        def worker(pool: SegmentPool, number: int) -> Worker:
            options = OpenOptions(device=f"cuda:{number}")
            return Worker(spawner, pool, f"tests.support.crashing:{opener}", tmp_path, options, 20)

        workers = WorkerSet(worker, counts, name="m", hang_seconds=hang_seconds, load_seconds=20)
        started.append(workers)
        workers.grow(instances)
        return workers

    yield one
    for workers in started:
        workers.close()


def guarded(workers: WorkerSet) -> Callable[[Sequence[Request]], list[Answer]]:
    execution = Execution("m", workers, SIGNATURE, stage=workers.stage)
    return CrashPolicy(execution.run, Quarantine(), workers.counts, model="m").run


def requests_of(*values: float, seconds: float = 20.0) -> list[Request]:
    return [make_request(Inbox(), [[value, 1]], seconds=seconds, signature=SIGNATURE) for value in values]


def outcome(answer: Answer) -> Code | list[float]:
    if answer.error is not None:
        return answer.error.code
    values: list[float] = np.frombuffer(bytes(answer.parts[0]), np.float32).tolist()
    return values


def pids(workers: WorkerSet) -> set[int]:
    return set(workers.processes().values())


def row(value: float) -> dict[str, Array]:
    return {"x": np.array([[value, 1]], np.float32)}


def test_a_process_that_follows_another_takes_its_device(start: Start, counts: Counts) -> None:
    workers = start(instances=3)
    before = workers.processes()
    os.kill(before[1], signal.SIGKILL)
    eventually(lambda: counts.restarts == 1 and workers.processes()[1] != before[1])
    assert workers.devices() == {0: "cuda:0", 1: "cuda:1", 2: "cuda:2"}


def test_a_process_whose_device_is_broken_is_replaced_and_the_next_caller_is_answered(
    start: Start, counts: Counts
) -> None:
    workers = start()
    run = guarded(workers)
    assert [outcome(answer) for answer in run(requests_of(1))] == [[2, 2]]
    before = pids(workers)
    assert [outcome(answer) for answer in run(requests_of(crashing.BREAKS))] == [Code.MODEL_FAILED]
    assert pids(workers) == before
    assert [outcome(answer) for answer in run(requests_of(3))] == [[6, 2]]
    assert pids(workers).isdisjoint(before)
    assert (counts.crashes, counts.restarts, counts.refused) == (1, 1, 0)


def test_those_beside_an_input_that_breaks_the_device_are_answered(start: Start, counts: Counts) -> None:
    run = guarded(start())
    answers = run(requests_of(1, 2, crashing.BREAKS, 3))
    assert [outcome(answer) for answer in answers] == [[2, 2], [4, 2], Code.MODEL_FAILED, [6, 2]]
    assert counts.refused == 0


def test_a_device_that_fails_now_and_then_is_kept(start: Start, counts: Counts) -> None:
    workers = start()
    for value in (crashing.DEVICE_FAILS, crashing.FAILS, 1, crashing.DEVICE_FAILS, 1):
        with contextlib.suppress(RunError):
            workers.run(row(value), ("y",))
    assert (counts.crashes, counts.restarts) == (0, 0)


def test_an_input_that_always_breaks_the_device_ends_with_its_error(start: Start, counts: Counts) -> None:
    workers = start()
    for _ in range(3):
        with pytest.raises(DeviceError, match="the model failed"):
            workers.run(row(crashing.BREAKS), ("y",))
    assert counts.restarts == 2


def test_tensors_of_every_kind_pass_both_ways(start: Start) -> None:
    workers = start("open_echo")
    feed: dict[str, Array] = {
        "bool": np.array([True, False]),
        "uint8": np.arange(5, dtype=np.uint8),
        "int64": np.array([2**62]),
        "fp16": np.zeros(0, np.float16),
        "fp64": np.arange(10.0)[::3],
        "bytes": np.array([b"", "中文".encode(), b"\0" * 100_000], dtype=object),
    }
    fetch = ("bytes", "fp64", "fp16", "bool", "uint8", "int64")
    for _ in range(3):
        for name, got in zip(fetch, workers.run(feed, fetch), strict=True):
            assert got.dtype == feed[name].dtype
            np.testing.assert_array_equal(got, feed[name])


def test_outputs_larger_than_the_inputs_find_room_and_keep_their_values(start: Start) -> None:
    workers = start()
    kept = [(size, workers.run({"x": np.full((size, 10), crashing.WIDE, np.float32)}, ("y",))[0])
            for size in (1, 50, 3, 200, 1)]  # fmt: skip
    for size, got in kept:
        assert got.shape == (size, 10_000)
        assert (got == crashing.WIDE).all()


def test_a_run_that_fails_is_no_crash(start: Start, counts: Counts) -> None:
    workers = start()
    with pytest.raises(RunError, match="dislikes"):
        workers.run(row(crashing.FAILS), ("y",))
    (before,) = pids(workers)
    assert [outcome(answer) for answer in guarded(workers)(requests_of(1, crashing.FAILS, 3))] == [
        [2, 2],
        Code.MODEL_FAILED,
        [6, 2],
    ]
    assert pids(workers) == {before}
    assert counts.crashes == 0


def test_a_process_killed_while_a_batch_runs_costs_no_answer(
    start: Start, counts: Counts, tmp_path: Path
) -> None:
    workers = start()
    running = tmp_path / "running"
    with ThreadPoolExecutor(1) as pool:
        answers = pool.submit(guarded(workers), requests_of(1, crashing.WAITS))
        eventually(lambda: running.exists() and running.read_text())
        first = int(running.read_text())
        os.kill(first, signal.SIGKILL)
        eventually(lambda: running.read_text() not in ("", str(first)))
        running.unlink()
        assert [outcome(answer) for answer in answers.result(20)] == [[2, 2], [crashing.WAITS * 2, 2]]
    assert gone(first)
    assert (counts.crashes, counts.restarts, counts.refused) == (1, 1, 0)


class Leaving:
    """A caller who leaves once it is told to, and says when it was first asked for."""

    def __init__(self) -> None:
        self.asked = threading.Event()
        self.left = False

    @property
    def cancelled(self) -> bool:
        left = self.left
        self.asked.set()
        return left


def test_those_who_leave_while_a_batch_waits_for_a_process_do_not_reach_it(
    start: Start, counts: Counts, tmp_path: Path
) -> None:
    workers = start()
    running = tmp_path / "running"
    leaving, (stays, leaves) = Leaving(), requests_of(3, 4)
    leaves.caller = leaving
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(guarded(workers), requests_of(crashing.WAITS))
        eventually(lambda: running.exists() and running.read_text())
        second = pool.submit(Execution("m", workers, SIGNATURE, stage=workers.stage).run, [stays, leaves])
        assert leaving.asked.wait(10)
        leaving.left = True
        running.unlink()
        assert [outcome(answer) for answer in first.result(20)] == [[crashing.WAITS * 2, 2]]
        (answer,) = second.result(20)
    assert (answer.request, outcome(answer)) == (stays, [6, 2])
    assert counts.to_worker == 2 * 8


def test_an_input_that_crashes_the_process_fails_alone_and_is_refused_from_then_on(
    start: Start, counts: Counts
) -> None:
    workers = start()
    run = guarded(workers)
    values = [*range(1, 20), crashing.SEGFAULTS, *range(20, 32)]
    expected: list[Code | list[float]] = [[value * 2, 2] for value in values]
    expected[19] = Code.INPUT_QUARANTINED
    assert [outcome(answer) for answer in run(requests_of(*values))] == expected
    eventually(lambda: counts.restarts == 2)
    assert [outcome(answer) for answer in run(requests_of(*values))] == expected
    assert (counts.crashes, counts.refused) == (2, 1)


def test_a_crash_that_does_not_happen_again_is_tried_once_more(
    start: Start, counts: Counts, tmp_path: Path
) -> None:
    workers = start()
    (tmp_path / "kill").touch()
    (answer,) = guarded(workers)(requests_of(crashing.KILLED_ONCE))
    assert outcome(answer) == [crashing.KILLED_ONCE * 2, 2]
    assert (counts.crashes, counts.refused) == (1, 0)


def test_a_process_that_hangs_is_killed_after_its_callers_have_gone(start: Start, counts: Counts) -> None:
    workers = start(hang_seconds=0.2)
    run = guarded(workers)
    (before,) = pids(workers)
    assert run(requests_of(crashing.HANGS, seconds=0.3)) == []
    assert gone(before)
    assert [outcome(answer) for answer in run(requests_of(1))] == [[2, 2]]
    assert counts.crashes == 1


def test_a_process_that_dies_idle_is_replaced(start: Start, counts: Counts) -> None:
    workers = start()
    for number in range(1, 3):
        os.kill(pids(workers).pop(), signal.SIGKILL)
        eventually(lambda number=number: counts.restarts == number)  # type: ignore[misc]
        assert [outcome(answer) for answer in guarded(workers)(requests_of(1))] == [[2, 2]]


def test_while_one_process_cannot_start_the_others_serve_and_without_any_the_reason_is_said(
    start: Start, counts: Counts, tmp_path: Path
) -> None:
    workers = start(instances=2)
    run = guarded(workers)
    first, second = pids(workers)
    (tmp_path / "refuse").touch()
    os.kill(first, signal.SIGKILL)
    eventually(lambda: counts.crashes == 1)
    assert [outcome(answer) for answer in run(requests_of(1, 2))] == [[2, 2], [4, 2]]
    os.kill(second, signal.SIGKILL)
    (answer,) = run(requests_of(1))
    assert answer.error is not None
    assert answer.error.code is Code.MODEL_NOT_READY
    assert "this model is refused" in answer.error.detail
    (tmp_path / "refuse").unlink()
    eventually(lambda: counts.restarts == 2)
    assert [outcome(answer) for answer in run(requests_of(1))] == [[2, 2]]


@pytest.mark.parametrize(
    ("file", "reason"), [("refuse", "this model is refused"), ("die", "killed by SIGSEGV")]
)
def test_a_model_that_does_not_open_says_why(start: Start, tmp_path: Path, file: str, reason: str) -> None:
    (tmp_path / file).touch()
    with pytest.raises(SpecError, match=reason):
        start()


def test_a_run_of_the_load_that_kills_the_process_says_how(start: Start) -> None:
    workers = start()
    with pytest.raises(WorkerLost, match="SIGSEGV"):
        workers.run(row(crashing.SEGFAULTS), ("y",))


def test_signals_to_the_group_are_left_to_the_service(start: Start) -> None:
    workers = start()
    before = pids(workers)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        os.kill(next(iter(before)), number)
    np.testing.assert_array_equal(workers.run(row(1), ("y",))[0], [[2, 2]])
    assert pids(workers) == before


def test_closing_ends_the_processes_and_whoever_waits(start: Start, tmp_path: Path) -> None:
    workers = start(instances=2)
    before = pids(workers)
    threads = set(threading.enumerate())
    with ThreadPoolExecutor(1) as pool:
        answers = pool.submit(guarded(workers), requests_of(crashing.WAITS))
        eventually((tmp_path / "running").exists)
        workers.close()
        (answer,) = answers.result(10)
    assert outcome(answer) is Code.MODEL_NOT_READY
    assert all(map(gone, before))
    assert not [thread for thread in threads if thread.name.startswith("m-keeper") and thread.is_alive()]


def test_workers_do_not_outlive_a_service_that_is_killed(tmp_path: Path) -> None:
    script = f"""
import time
from pathlib import Path
from tests.support.workers import Counts
from trireme_inference.backend import OpenOptions
from trireme_inference.workers.spawner import Spawner
from trireme_inference.workers.worker import Worker
from trireme_inference.workers.worker_set import WorkerSet
spawner = Spawner()
def start(pool, number):
    opener = "tests.support.crashing:open_doubler"
    return Worker(spawner, pool, opener, Path({str(tmp_path)!r}), OpenOptions(), 20)
workers = WorkerSet(start, Counts(), name="m", hang_seconds=1, load_seconds=20)
workers.grow(2)
print(spawner.pid, *workers.processes().values(), flush=True)
time.sleep(60)
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as service:
        assert service.stdout is not None
        found = [int(pid) for pid in service.stdout.readline().split()]
        assert len(found) == 3
        assert not any(map(gone, found))
        service.kill()
    eventually(lambda: all(map(gone, found)))


def test_a_nursery_that_dies_takes_its_workers_along_and_is_started_again(
    tmp_path: Path, counts: Counts
) -> None:
    spawner = Spawner()

    def worker(pool: SegmentPool, number: int) -> Worker:
        return Worker(spawner, pool, "tests.support.crashing:open_doubler", tmp_path, OpenOptions(), 20)

    workers = WorkerSet(worker, counts, name="m", hang_seconds=10, load_seconds=20)
    try:
        (before,) = pids(workers)
        os.kill(spawner.pid, signal.SIGKILL)
        eventually(lambda: counts.restarts == 1)
        assert gone(before)
        assert [outcome(answer) for answer in guarded(workers)(requests_of(1))] == [[2, 2]]
    finally:
        workers.close()
        spawner.close()


@pytest.mark.parametrize("module", ["no_such_module", "tests.support.threaded"])
def test_what_cannot_be_imported_before_the_fork_is_left_to_the_workers(
    tmp_path: Path, counts: Counts, module: str
) -> None:
    spawner = Spawner([module])

    def worker(pool: SegmentPool, number: int) -> Worker:
        return Worker(spawner, pool, "tests.support.crashing:open_doubler", tmp_path, OpenOptions(), 20)

    workers = WorkerSet(worker, counts, name="m", hang_seconds=10, load_seconds=20)
    np.testing.assert_array_equal(workers.run(row(1), ("y",))[0], [[2, 2]])
    workers.close()
    spawner.close()


def test_after_its_end_nothing_is_forked() -> None:
    spawner = Spawner()
    spawner.close()
    ours, theirs = socket_pair()
    with ours, theirs, pytest.raises(SpawnError, match="the service is ending"):
        spawner.fork(theirs)

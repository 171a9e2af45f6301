"""Worker processes that are wanted while something is wrong: files, processes or descriptors."""

import asyncio
import errno
import os
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest

from tests.support import crashing, onnx_models
from tests.support.inference_fakes import Inbox, Pending, make_request
from tests.support.onnx_models import golden_of, write_version
from tests.support.processes import descendants, eventually
from tests.support.workers import Counts, CountsByVersion
from trireme_common.errors import Code, MachineError, SpecError, TriremeError
from trireme_common.repository import scan
from trireme_common.tensors import Array
from trireme_inference.backend import OpenOptions
from trireme_inference.bootstrap import BACKENDS
from trireme_inference.isolation import Isolation
from trireme_inference.loader import Loader, Machine
from trireme_inference.servable import InferenceServable
from trireme_inference.workers.channel import socket_pair
from trireme_inference.workers.nursery import FORK, READY
from trireme_inference.workers.segment import SegmentPool
from trireme_inference.workers.spawner import Spawner, SpawnError
from trireme_inference.workers.worker import Worker
from trireme_inference.workers.worker_set import WorkerSet

ROW = np.array([[1, 2, 3, 4]], np.float32)
TWO = np.array([[3, 1]], np.float32)
HEAVY_BYTES = 64 << 20


class Watched(CountsByVersion):
    """Keeps the workers of what is served."""

    def __init__(self) -> None:
        super().__init__()
        self.workers: list[WorkerSet] = []

    def watch(self, model: str, version: str, workers: WorkerSet) -> Callable[[], None]:
        self.workers.append(workers)
        return lambda: None


@contextmanager
def free_descriptors(count: int) -> Iterator[None]:
    """This process can open `count` files and no more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    last = max(map(int, os.listdir("/proc/self/fd")))
    taken: list[int] = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (last + 1 + count, hard))
    try:
        with suppress(OSError):
            while True:
                taken.append(os.open("/dev/null", os.O_RDONLY))
        for _ in range(count):
            os.close(taken.pop())
        yield
    finally:
        for descriptor in taken:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture
def spawner() -> Iterator[Spawner]:
    spawner = Spawner()
    yield spawner
    spawner.close()


def worker_of(spawner: Spawner, directory: Path) -> Worker:
    opener = "tests.support.crashing:open_doubler"
    return Worker(spawner, SegmentPool(), opener, directory, OpenOptions(), 20)


def set_of(
    spawner: Spawner, directory: Path, counts: Counts, check: Callable[[], None] = lambda: None
) -> WorkerSet:
    def start(pool: SegmentPool, number: int) -> Worker:
        opener = "tests.support.crashing:open_doubler"
        return Worker(spawner, pool, opener, directory, OpenOptions(), 20)

    return WorkerSet(start, counts, name="m", hang_seconds=10, load_seconds=20, check=check)


async def answer_of(servable: InferenceServable, row: Array = ROW) -> Array:
    inbox = Inbox()
    request = make_request(inbox, row.tolist(), seconds=10, signature=servable.signature)
    servable.batcher.submit([request])
    async with asyncio.timeout(20):
        while not inbox.calls:
            await asyncio.sleep(0.01)
    return inbox.values(request)


async def test_a_process_is_started_again_over_the_model_that_was_checked_and_over_no_other(
    tmp_path: Path,
) -> None:
    good = onnx_models.scale(2.0)
    spec = "instances: {isolation: process, count: 1}\n"
    golden = golden_of({"x": ROW}, {"y": ROW * 2})
    model = write_version(tmp_path, "m", 1, good, spec=spec, golden=golden) / "model.onnx"
    seen = Watched()
    with closing(Isolation(seen)) as isolation:
        loader = Loader(BACKENDS, Machine(), Pending(), asyncio.get_running_loop(), isolation)
        servable = await asyncio.to_thread(loader.load, scan(tmp_path).versions[0])
        np.testing.assert_array_equal(await answer_of(servable), ROW * 2)
        model.write_bytes(onnx_models.scale(100.0))
        os.kill(seen.workers[0].processes()[0], signal.SIGKILL)
        with pytest.raises(TriremeError, match=f"{model} has changed since") as told:
            await answer_of(servable)
        assert told.value.code is Code.MODEL_NOT_READY
        model.write_bytes(good)
        await asyncio.to_thread(eventually, lambda: seen.counts("m", "1").restarts == 1)
        np.testing.assert_array_equal(await answer_of(servable), ROW * 2)
        (model.parent / "golden.json").write_text("{ a slip")
        (model.parent / "README.md").write_text("more")
        os.kill(seen.workers[0].processes()[0], signal.SIGKILL)
        np.testing.assert_array_equal(await answer_of(servable), ROW * 2)
        await servable.close()


@pytest.mark.parametrize("isolation", ["process", "thread"])
async def test_a_device_that_a_trial_breaks_serves_afterwards(tmp_path: Path, isolation: str) -> None:
    write_version(tmp_path, "m", 1, b"", spec=f"instances: {{isolation: {isolation}, count: 1}}\n")
    machine = Machine(
        gpus=1, device="cuda:0", cuda_backends=frozenset({"onnxruntime"}), free_bytes=lambda device: None
    )
    zeros = np.zeros_like(ROW)  # the same bytes in every type
    with closing(Isolation(CountsByVersion())) as isolated:
        openers = {"onnxruntime": crashing.open_one_row}
        loader = Loader(openers, machine, Pending(), asyncio.get_running_loop(), isolated)
        servable = await asyncio.to_thread(loader.load, scan(tmp_path).versions[0])
        np.testing.assert_array_equal(await answer_of(servable, zeros), zeros)
        assert (servable.notes, servable.signature.batchable) == ("", True)
        await servable.close()


def test_no_further_process_is_started_where_the_files_have_changed(spawner: Spawner, tmp_path: Path) -> None:
    def check() -> None:
        raise SpecError("other files")

    workers = set_of(spawner, tmp_path, Counts(), check)
    workers.grow(1)
    with pytest.raises(SpecError, match="other files"):
        workers.grow(2)
    assert len(workers.processes()) == 1
    workers.close()


def test_a_fork_that_the_kernel_refuses_costs_nobody_else_anything(tmp_path: Path) -> None:
    spawner = Spawner(["tests.support.crowded"])
    counts = Counts()
    workers = set_of(spawner, tmp_path, counts)
    before, nursery = workers.processes(), spawner.pid
    for _ in range(2):
        with pytest.raises(MachineError, match=os.strerror(errno.EAGAIN)):
            worker_of(spawner, tmp_path)
    np.testing.assert_array_equal(workers.run({"x": TWO}, ("y",))[0], TWO * 2)
    assert (workers.processes(), spawner.pid, counts.crashes) == (before, nursery, 0)
    workers.close()
    spawner.close()


@pytest.mark.parametrize("first", ["dies", "hangs"])
def test_a_nursery_that_once_does_not_get_to_its_first_fork_is_started_again_as_it_was_meant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: str
) -> None:
    monkeypatch.setenv("TRIREME_TEST_LATE", str(tmp_path))
    (tmp_path / first).touch()
    spawner = Spawner(["tests.support.late"], start_seconds=5)
    with pytest.raises(SpecError, match=r"cannot be started: (timed out|it ended while it started)"):
        worker_of(spawner, tmp_path)
    worker_of(spawner, tmp_path).end()
    assert (tmp_path / "imported").read_text() == str(spawner.pid)
    spawner.close()


def test_what_processes_took_over_from_the_nursery_is_not_their_own(tmp_path: Path) -> None:
    spawner = Spawner(["tests.support.heavy"])
    workers = set_of(spawner, tmp_path, Counts())
    workers.grow(2)
    assert workers.anonymous_bytes() > 2 * HEAVY_BYTES
    assert workers.private_bytes() < HEAVY_BYTES
    workers.close()
    assert (workers.anonymous_bytes(), workers.private_bytes()) == (0, 0)
    spawner.close()


def test_a_nursery_that_gets_no_descriptor_says_so_and_goes_on() -> None:
    ours, theirs = socket_pair()
    command = [sys.executable, "-P", "-m", "trireme_inference.workers", str(theirs.fileno())]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OPENBLAS_NUM_THREADS": "1"}
    with subprocess.Popen(command, pass_fds=(theirs.fileno(),), env=environment) as nursery, ours:
        theirs.close()
        ours.settimeout(30)
        assert ours.recv(1000).decode() == READY
        for _ in range(2):
            ours.send(FORK)
            assert int(ours.recv(1000)) == -errno.EMFILE
        ours.close()
        assert nursery.wait(30) == 0


@pytest.mark.parametrize("count", [0, 2, 3])
def test_where_descriptors_run_out_that_is_said_and_later_processes_start(
    spawner: Spawner, tmp_path: Path, count: int
) -> None:
    ours, theirs = socket_pair()
    with ours, theirs, free_descriptors(count):
        with pytest.raises(SpawnError, match=os.strerror(errno.EMFILE)):
            spawner.fork(theirs)
        with pytest.raises(SpecError, match=os.strerror(errno.EMFILE)):
            worker_of(spawner, tmp_path)
    worker = worker_of(spawner, tmp_path)
    assert worker.end() == "killed by SIGKILL"


def test_a_process_that_cannot_be_replaced_for_want_of_descriptors_is_replaced_later(
    spawner: Spawner, tmp_path: Path
) -> None:
    counts = Counts()
    workers = set_of(spawner, tmp_path, counts)
    workers.run({"x": TWO}, ("y",))
    with free_descriptors(0):
        os.kill(workers.processes()[0], signal.SIGKILL)
        eventually(lambda: counts.crashes == 1)
        with pytest.raises(TriremeError, match="cannot start.*" + os.strerror(errno.EMFILE)):
            workers.run({"x": TWO}, ("y",))
    eventually(lambda: counts.restarts == 1)
    np.testing.assert_array_equal(workers.run({"x": TWO}, ("y",))[0], TWO * 2)
    workers.close()


def test_where_threads_run_out_that_is_said_and_no_process_is_left(
    spawner: Spawner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    with pytest.raises(MachineError, match="can't start new thread"):
        set_of(spawner, tmp_path, Counts())
    assert spawner.pid
    assert not descendants(spawner.pid)


def test_a_place_outlives_a_start_that_fails_as_nobody_foresaw(spawner: Spawner, tmp_path: Path) -> None:
    problems: list[Exception] = []

    def check() -> None:
        if problems:
            raise problems.pop()

    counts = Counts()
    workers = set_of(spawner, tmp_path, counts, check)
    problems.append(MemoryError())
    os.kill(workers.processes()[0], signal.SIGKILL)
    eventually(lambda: counts.restarts == 1)
    np.testing.assert_array_equal(workers.run({"x": TWO}, ("y",))[0], TWO * 2)
    workers.close()


@pytest.mark.parametrize("running", [True, False])
def test_a_process_that_the_nursery_did_not_fork_is_left_alone(
    spawner: Spawner, tmp_path: Path, running: bool
) -> None:
    workers = [worker_of(spawner, tmp_path)] if running else []
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as stranger:
        assert spawner.end(stranger.pid) == ""
        assert stranger.communicate(b"alive")[0] == b"alive"
    assert bool(spawner.pid) is running  # none is started only to end a process
    for worker in workers:
        worker.end()

"""The workers of one model version: who runs the next batch, and who replaces one that died."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import structlog

from trireme_common.errors import Code, MachineError, TriremeError
from trireme_common.tensors import Array
from trireme_inference.backend import DeviceError
from trireme_inference.requests import MembersLeft, Request
from trireme_inference.signature import Row, Stack
from trireme_inference.workers.messages import Placed
from trireme_inference.workers.segment import SegmentPool, parts_of
from trireme_inference.workers.staging import Staging, room_for
from trireme_inference.workers.worker import NotBegun, Worker, WorkerLost

logger = structlog.get_logger(__name__)

FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 10.0
_END_SECONDS = 15.0
# One may be the run's own; after an error that stays, CUDA fails every run until the process ends.
_MOST_DEVICE_FAILURES = 2


KILLED = "killed by SIGKILL"
"""Also by us, where it hung: then what it did is more telling."""


class WorkerCounts(Protocol):
    """Where the numbers of a version's workers go. Called from any thread."""

    def crashed(self) -> None: ...

    def restarted(self) -> None: ...

    def quarantined(self, count: int) -> None: ...

    def carried(self, to_worker: int, from_worker: int) -> None:
        """Bytes of tensors that one run took there and brought back."""


class WorkerSet:
    """Processes behind the backend port: one, or as many as it is grown to.

    A run goes to the one that was used last among those that are free. One that dies is started again, at
    once where it had answered a run, else after a pause that doubles. One whose device fails two runs,
    with no good one between, is ended and started again, and the second of the runs goes elsewhere. Raises
    SpecError where the first cannot start.

    `start`: a process for a place, by the number of the place, which a process that follows another keeps.
    `hang_seconds`: how long after the deadline of its last caller a run may go on before its process
    counts as hung, and is killed. `load_seconds`: the same for a run that no caller waits for.
    `check`: raises SpecError where a process that starts now would not serve what the first one serves;
    called before `grow` starts any and before each that follows another.
    """

    def __init__(
        self,
        start: Callable[[SegmentPool, int], Worker],
        counts: WorkerCounts,
        *,
        name: str,
        hang_seconds: float,
        load_seconds: float,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        self._start, self._check, self._name = start, check, name
        self.counts = counts
        self._hang_seconds, self._load_seconds = hang_seconds, load_seconds
        self._pool = SegmentPool()
        self._staged = threading.local()
        self._changed = threading.Condition()
        self._free: list[Worker] = []
        self._workers: dict[int, Worker] = {}
        self._proven: set[Worker] = set()
        self._failing: dict[int, str] = {}
        self._closing = threading.Event()
        self._output_bytes = 0
        self._keepers: list[threading.Thread] = []
        try:
            first = self._begin(0)
        except BaseException:
            self.close()
            raise
        self.inputs, self.outputs = first.inputs, first.outputs
        self.platform, self.device = first.platform, first.device

    def grow(self, count: int) -> None:
        """Starts processes until there are `count`. Raises SpecError."""
        missing = range(len(self._keepers), count)
        if missing:
            self._check()
        for number in missing:
            self._begin(number)

    def stage(self, requests: Sequence[Request], rows: Sequence[Row]) -> Stack:
        """Memory for a batch that this thread is about to `run`; returns what stacks its inputs there.

        `rows`: the parts of each of the requests.
        """
        size = room_for(sum(map(len, column)) for column in zip(*rows, strict=True))
        deadline = max(request.deadline for request in requests)
        self._staged.batch = batch = Staging(self._pool, size + self._output_bytes, deadline)
        self._staged.callers = requests
        return batch.stack

    def run(self, feed: Mapping[str, Array], fetch: tuple[str, ...]) -> list[Array]:
        """As Backend.run. Raises WorkerLost where the process died of the run, or during it,
        TriremeError(MODEL_NOT_READY) where no process can be started, and MembersLeft where some of those
        that were staged left before a process came free."""
        batch: Staging | None = self._staged.__dict__.pop("batch", None)
        callers: Sequence[Request] = self._staged.__dict__.pop("callers", ())
        if batch is None:
            size = room_for(len(parts_of(array)[1]) for array in feed.values())
            batch = Staging(self._pool, size + self._output_bytes, time.monotonic() + self._load_seconds)
        placed = batch.place(feed)
        while True:
            worker = self._taken(batch.deadline)
            try:
                now = time.monotonic()
                if any(request.gone(now) for request in callers):
                    raise MembersLeft
                seconds = max(0.0, batch.deadline - now) + self._hang_seconds
                outputs, back = worker.run(batch, placed, fetch, seconds)
            except NotBegun:
                continue  # its keeper starts another one
            except WorkerLost as lost:
                how = worker.kill()  # it may only hang
                raise WorkerLost(how if how not in ("", KILLED) else lost.reason) from None
            except DeviceError:
                if worker.device_failures < _MOST_DEVICE_FAILURES:
                    self._offer(worker)
                    raise
                self._give_up(worker)  # the run is not to blame, and goes to another one
                continue
            except BaseException:
                self._offer(worker)
                raise
            self._proven.add(worker)
            self._offer(worker)
            self._count(placed, back)
            return outputs

    def _give_up(self, worker: Worker) -> None:
        """Ends a process whose device fails run after run; its keeper starts another one."""
        logger.error("worker_device_broken", model=self._name, device=worker.device, pid=worker.pid)
        worker.kill()

    def _count(self, there: Sequence[Placed], back: Sequence[Placed]) -> None:
        self._output_bytes = max(self._output_bytes, room_for(placed.size for placed in back))
        self.counts.carried(sum(placed.size for placed in there), sum(placed.size for placed in back))

    def processes(self) -> dict[int, int]:
        """Process id by number."""
        return {number: worker.pid for number, worker in list(self._workers.items())}

    def devices(self) -> dict[int, str]:
        """Device of each process, by its number."""
        return {number: worker.device for number, worker in list(self._workers.items())}

    def resident_bytes(self) -> dict[int, int]:
        """Memory of each process, by its number."""
        return {number: worker.memory()[0] for number, worker in list(self._workers.items())}

    def cpu_seconds(self) -> dict[int, float]:
        """What each process has computed so far, by its number."""
        return {number: worker.cpu_seconds() for number, worker in list(self._workers.items())}

    def anonymous_bytes(self) -> int:
        """Memory of all processes that no file holds, what each has in common with the nursery since its fork
        included. Costs next to nothing: for what is shown."""
        memory = [worker.memory() for worker in list(self._workers.values())]
        return sum(resident - shared for resident, shared in memory)

    def private_bytes(self) -> int:
        """Memory of all processes that goes when they go. Takes tens of milliseconds a GiB: for the budget,
        which asks once a load."""
        return sum(worker.private_bytes() for worker in list(self._workers.values()))

    def close(self) -> None:
        """Ends every process, and waits until they are gone."""
        with self._changed:
            self._closing.set()
            self._free.clear()
            self._changed.notify_all()
        for worker in list(self._workers.values()):
            worker.shut()
        for keeper in self._keepers:
            keeper.join(_END_SECONDS)
        self._pool.close()

    def _taken(self, deadline: float) -> Worker:
        with self._changed:
            while not self._free:
                if self._closing.is_set():
                    raise TriremeError(Code.MODEL_NOT_READY, "the model version is being unloaded")
                if len(self._failing) == len(self._keepers):
                    why = next(iter(self._failing.values()))
                    raise TriremeError(Code.MODEL_NOT_READY, f"the model's processes cannot start: {why}")
                if not self._changed.wait(deadline - time.monotonic()):
                    raise TriremeError(Code.DEADLINE_EXCEEDED, "no process of the model came free in time")
            return self._free.pop()

    def _offer(self, worker: Worker) -> None:
        with self._changed:
            if not self._closing.is_set():
                self._free.append(worker)
                self._changed.notify()

    def _begin(self, number: int) -> Worker:
        worker = self._start(self._pool, number)
        keeper = threading.Thread(
            target=self._keep, args=(number, worker), name=f"{self._name}-keeper-{number}", daemon=True
        )
        self._workers[number] = worker
        try:
            keeper.start()
        except RuntimeError as error:  # the kernel's limit of threads
            del self._workers[number]
            worker.end()
            raise MachineError(f"no thread for the model's process: {error}") from error
        self._keepers.append(keeper)
        self._offer(worker)
        return worker

    def _keep(self, number: int, worker: Worker | None) -> None:
        """Thread of one place: replaces its process whenever it has ended."""
        pause = 0.0
        while worker is not None:
            worker.wait()
            with self._changed:
                if worker in self._free:
                    self._free.remove(worker)
            how = worker.end()
            if self._closing.is_set():
                return
            pause = 0.0 if worker in self._proven else _longer(pause)
            self._proven.discard(worker)
            self.counts.crashed()
            logger.error("worker_died", model=self._name, instance=number, how=how, pause_seconds=pause)
            worker, pause = self._restarted(number, pause)

    def _restarted(self, number: int, pause: float) -> tuple[Worker | None, float]:
        while not self._closing.wait(pause):
            try:
                self._check()
                if self._closing.is_set():  # it may take seconds
                    return None, pause
                worker = self._start(self._pool, number)
            except Exception as error:  # whatever it was passes, or is told again: the place must not be lost
                pause = _longer(pause)
                self._tell_failing(number, error)
                continue
            self._tell_failing(number, None)
            self.counts.restarted()
            self._workers[number] = worker
            if self._closing.is_set():  # `close` may have looked at the processes before this one came
                worker.shut()
            self._offer(worker)
            return worker, pause
        return None, pause

    def _tell_failing(self, number: int, error: Exception | None) -> None:
        with self._changed:
            if error is None:
                self._failing.pop(number, None)
                return
            told = isinstance(error, TriremeError)
            self._failing[number] = reason = str(error) if told else "internal error"
            self._changed.notify_all()
        unforeseen = None if told else error
        logger.error(
            "worker_cannot_start", model=self._name, instance=number, reason=reason, exc_info=unforeseen
        )


def _longer(pause: float) -> float:
    return min(max(FIRST_PAUSE_SECONDS, 2 * pause), LONGEST_PAUSE_SECONDS)

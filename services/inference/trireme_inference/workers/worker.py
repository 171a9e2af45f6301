"""The service's side of one worker: a process with one opened model."""

from __future__ import annotations

import os
import select
import threading
from dataclasses import asdict
from pathlib import Path

from trireme_common.errors import MachineError, SpecError
from trireme_common.memory import NoRoomError, Shortage
from trireme_common.stage_state import TensorInfo
from trireme_common.tensors import Array
from trireme_inference import run_clock
from trireme_inference.backend import DeviceError, OpenOptions, RunError
from trireme_inference.workers.channel import Channel, Ended, socket_pair
from trireme_inference.workers.messages import (
    BadMessage,
    Done,
    Failed,
    Message,
    Open,
    Opened,
    Placed,
    Room,
    Run,
)
from trireme_inference.workers.segment import Segment, SegmentPool, array_of
from trireme_inference.workers.spawner import Spawner, SpawnError
from trireme_inference.workers.staging import Staging

_PAGE_BYTES = os.sysconf("SC_PAGESIZE")
_TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")


class WorkerLost(Exception):
    """The worker died, hung or broke its protocol while it had a run; it is of no more use."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class NotBegun(Exception):
    """The worker had died before the run reached it."""


class Worker:
    """One process, which lives until `end`. One run at a time.

    Raises MachineError where the process cannot be had, dies of the model, or needs more than `seconds` to
    open it, and SpecError where it refuses it.
    """

    def __init__(
        self,
        spawner: Spawner,
        pool: SegmentPool,
        opener: str,
        directory: Path,
        options: OpenOptions,
        seconds: float,
    ) -> None:
        try:
            ours, theirs = socket_pair()
        except OSError as error:
            raise MachineError(f"no socket to a process for the model: {error}") from error
        self._spawner, self._pool, self._channel = spawner, pool, Channel(ours)
        self._known: set[int] = set()
        self._ending, self._in_use = threading.Lock(), threading.Lock()
        self._ended, self._how = False, ""
        self.device_failures = 0
        """Runs that the device failed since the last good one."""
        with theirs:
            try:
                self.pid = spawner.fork(theirs)
            except SpawnError as error:
                ours.close()
                raise MachineError(f"no process for the model: {error}") from error
        opened = self._opened(Open(opener, str(directory), asdict(options)), seconds)
        self.inputs = tuple(TensorInfo(*info) for info in opened.inputs)
        self.outputs = tuple(TensorInfo(*info) for info in opened.outputs)
        self.platform = opened.platform
        self.device = opened.device

    def _opened(self, order: Open, seconds: float) -> Opened:
        problem: SpecError | str = "its process answered nonsense"
        try:
            self._channel.send(order)
            told = self._reply(seconds)
            if isinstance(told, Opened):
                return told
            if isinstance(told, Failed):
                problem = _refusal(told, order.options["device"])
        except (WorkerLost, Ended) as error:
            problem = f"its process did not survive opening it: {self.kill() or error}"
        except OSError as error:
            problem = f"its process cannot be spoken to: {error}"
        self.end()
        raise MachineError(problem) if isinstance(problem, str) else problem

    def run(
        self, batch: Staging, inputs: tuple[Placed, ...], fetch: tuple[str, ...], seconds: float
    ) -> tuple[list[Array], tuple[Placed, ...]]:
        """Runs the model once, in at most `seconds`: the outputs, as views on shared memory, and where
        they lie. Raises RunError (DeviceError where the device failed), NotBegun, or WorkerLost, after which
        this worker must be ended."""
        forget = tuple(number for number in self._known if not self._pool.alive(number))
        self._known.difference_update(forget)
        order = Run(batch.segment.number, inputs, fetch, batch.free, forget)
        with self._in_use:
            try:
                self._send(order, batch.segment)
            except Ended as error:
                raise NotBegun from error
            told, whole = self._outcome(batch, seconds)
            began, ended = self._channel.stamp
        if isinstance(told, Failed):
            self.device_failures += told.device
            raise DeviceError(told.detail) if told.device else RunError(told.detail)
        self.device_failures = 0
        run_clock.tell(began, ended)
        try:
            if tuple(output.name for output in told.outputs) != fetch:
                raise BadMessage("it answered other outputs than were asked for")
            return [array_of(whole, output) for output in told.outputs], told.outputs
        except BadMessage as error:
            raise WorkerLost(str(error)) from error

    def _outcome(self, batch: Staging, seconds: float) -> tuple[Done | Failed, Array]:
        told, whole = self._reply(seconds), batch.whole
        if isinstance(told, Room):
            try:
                segment, whole = self._pool.lend(told.size)
                self._send(Room(told.size, segment.number), segment)
            except (OSError, Ended) as error:
                raise WorkerLost("no shared memory for the outputs") from error
            told = self._reply(seconds)
        if not isinstance(told, Done | Failed):
            raise WorkerLost("it answered out of turn")
        return told, whole

    def _send(self, message: Message, segment: Segment) -> None:
        if segment.number in self._known:
            self._channel.send(message)
        else:
            self._channel.send(message, (segment.descriptor,))
            self._known.add(segment.number)

    def _reply(self, seconds: float) -> Message:
        try:
            return self._channel.receive(seconds)[0]
        except Ended as error:
            raise WorkerLost("it ended") from error
        except TimeoutError as error:
            raise WorkerLost(f"no answer within {seconds:.0f} s") from error
        except BadMessage as error:
            raise WorkerLost(str(error)) from error

    def wait(self) -> None:
        """Returns when the process has ended, or `shut` was called."""
        hung_up = select.poll()
        hung_up.register(self._channel.fileno(), 0)
        hung_up.poll()

    def shut(self) -> None:
        """Tells the process to end, and wakes `wait` and a run under way."""
        self._channel.shut()

    def kill(self) -> str:
        """Kills the process, dead or alive. Says how it ended; empty where that is not known."""
        with self._ending:
            if not self._ended:
                self._how = self._spawner.end(self.pid)
                self._ended = True
            return self._how

    def end(self) -> str:
        """As `kill`; nothing may use this worker any more."""
        how = self.kill()
        with self._in_use:  # a run reads the end of the socket before its descriptor becomes another's
            self._channel.close()
        return how

    def cpu_seconds(self) -> float:
        """What the process has computed so far, in user and kernel mode; 0 once it has ended."""
        if self._ended:
            return 0.0
        try:
            # The second field is the program's name, in brackets, which may hold anything.
            _, _, numbers = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")
            user, kernel = numbers.split()[11:13]
        except (OSError, ValueError):
            return 0.0
        return (int(user) + int(kernel)) / _TICKS_A_SECOND

    def memory(self) -> tuple[int, int]:
        """Bytes of the process that are resident, and how many of them files or shared memory hold; 0 once
        it has ended."""
        return (0, 0) if self._ended else _memory(Path(f"/proc/{self.pid}"))

    def private_bytes(self) -> int:
        """As the function of that name; 0 once it has ended."""
        return 0 if self._ended else private_bytes(Path(f"/proc/{self.pid}"))


def private_bytes(process: Path) -> int:
    """Bytes that a process, by its folder in /proc, wrote and shares with nobody: not what it and its nursery
    have in common since the fork, nor what can be read from a file again. 0 where nobody tells.

    The kernel walks the page tables for it, which was found to take 50 ms for a GiB. Where it does not do
    that (gVisor; CONFIG_PROC_PAGE_MONITOR is off), what the fork left in common counts too.
    """
    try:
        lines = (process / "smaps_rollup").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Private_Dirty:"))
    except (OSError, ValueError, IndexError, StopIteration):
        resident, shared = _memory(process)
        return resident - shared


def _memory(process: Path) -> tuple[int, int]:
    try:
        _, resident, shared, *_ = map(int, (process / "statm").read_text().split())
    except (OSError, ValueError):
        return 0, 0
    return resident * _PAGE_BYTES, shared * _PAGE_BYTES


def _refusal(told: Failed, device: str) -> SpecError:
    """Why a worker did not open the model."""
    if told.missing:
        return NoRoomError(told.detail, Shortage(device, told.missing))
    return SpecError(told.detail)

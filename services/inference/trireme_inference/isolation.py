"""Where the runs of a model happen: in worker processes, or in threads of the service.

A file that nobody has opened yet may kill the process that opens it. So a model that is to run in the
service's own process is opened and run once in a worker before; a content that survived is not tried
again while the service lives.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

import structlog

from trireme_common.errors import MachineError
from trireme_common.repository import VersionFiles
from trireme_inference.backend import Backend, Opener, OpenOptions, RunError
from trireme_inference.content import Content
from trireme_inference.crash_policy import CrashPolicy
from trireme_inference.execution import Execution
from trireme_inference.quarantine import Quarantine
from trireme_inference.requests import Answer, Request
from trireme_inference.signature import Signature
from trireme_inference.warm_up import first_runs
from trireme_inference.workers.segment import SegmentPool
from trireme_inference.workers.spawner import Spawner
from trireme_inference.workers.worker import Worker, WorkerLost
from trireme_inference.workers.worker_set import WorkerCounts, WorkerSet

logger = structlog.get_logger(__name__)

Kind = Literal["process", "thread"]

# What the process that forks the workers of a backend imports once for all of them. Nothing that starts
# threads: ONNX Runtime does, and is imported by each worker, which takes 50 ms.
_PRELOADED: Mapping[str, tuple[str, ...]] = {"torch": ("torch",)}


class WorkerTelemetry(Protocol):
    """Where the numbers of workers go."""

    def counts(self, model: str, version: str) -> WorkerCounts: ...

    def watch(self, model: str, version: str, workers: WorkerSet) -> Callable[[], None]:
        """Reads what the processes take when asked for metrics, until the returned function is called."""


@dataclass(frozen=True)
class Limits:
    """Bounds of time, in seconds."""

    start_seconds: float = 300.0
    """Of opening a model in a worker, and of each run of its load."""
    hang_seconds: float = 30.0
    """Of a run, counted from the deadline of its last caller."""


class Isolation:
    """Opens models where they are to run. Used from the threads that load; `close` ends every worker."""

    def __init__(
        self, telemetry: WorkerTelemetry, *, preferred: Kind | None = None, limits: Limits | None = None
    ) -> None:
        self._telemetry = telemetry
        self._preferred = preferred
        self._limits = limits or Limits()
        self._spawners: dict[str, Spawner] = {}
        self._survived: set[tuple[str, str, str]] = set()
        self._serving: dict[tuple[str, str], WorkerSet] = {}

    def kind(self, files: VersionFiles, options: OpenOptions) -> Kind:
        """What model.yaml says, else the service's setting, else what was measured to be best (ADR 6)."""
        return files.spec.instances.isolation or self._preferred or _best(files.spec.backend, options.device)

    def open(
        self,
        files: VersionFiles,
        opener: Opener,
        options: OpenOptions,
        content: Content,
        devices: Sequence[str] = (),
    ) -> Backend:
        """The model, opened; a WorkerSet of one process where runs are to happen there.

        `devices`: those of the processes in turn, the first of them that of `options`; empty where all
        share that one. `content`: what was checked; every process after the first is started over the same
        files or not at all. Raises SpecError, also where the file killed the process that opened it.
        """
        if self.kind(files, options) == "process":
            return self._workers(files, opener, options, content, devices)
        tried = (_reference(opener), options.device, content.digest)
        if tried not in self._survived:
            self._try(files, opener, options, content)
            self._survived.add(tried)
        return opener(files.directory, options)

    def watch(self, model: str, version: str, workers: WorkerSet | None) -> Callable[[], None]:
        """Shows what a version's processes take, until the returned function is called."""
        if workers is None:
            return lambda: None
        self._serving[model, version] = workers
        forget_shown = self._telemetry.watch(model, version, workers)

        def forget() -> None:
            # The version may be loaded again before its first load is gone.
            if self._serving.get((model, version)) is workers:
                del self._serving[model, version]
            forget_shown()

        return forget

    def bytes_of(self, model: str, version: str) -> int:
        """Memory of the processes of a version that no file holds, to be shown; 0 where it has none."""
        workers = self._serving.get((model, version))
        return workers.anonymous_bytes() if workers is not None else 0

    def nurseries(self) -> list[int]:
        """Process ids of those that fork workers."""
        return [spawner.pid for spawner in list(self._spawners.values()) if spawner.pid]

    def close(self) -> None:
        """Ends what is left."""
        for spawner in list(self._spawners.values()):
            spawner.close()

    def _workers(
        self,
        files: VersionFiles,
        opener: Opener,
        options: OpenOptions,
        content: Content,
        devices: Sequence[str] = (),
    ) -> WorkerSet:
        name, version = files.spec.name, str(files.version)
        spawner = self._spawner(files.spec.backend)
        reference, directory = _reference(opener), files.directory.resolve()

        def start(pool: SegmentPool, number: int) -> Worker:
            device = devices[number % len(devices)] if devices else options.device
            there = replace(options, device=device)
            return Worker(spawner, pool, reference, directory, there, self._limits.start_seconds)

        return WorkerSet(
            start,
            self._telemetry.counts(name, version),
            name=f"{name}-{version}",
            hang_seconds=self._limits.hang_seconds,
            load_seconds=self._limits.start_seconds,
            check=content.require_unchanged,
        )

    def _spawner(self, backend: str) -> Spawner:
        modules = _PRELOADED.get(backend, ())
        return self._spawners.setdefault(" ".join(modules), Spawner(modules))

    def _try(self, files: VersionFiles, opener: Opener, options: OpenOptions, content: Content) -> None:
        workers = self._workers(files, opener, options, content)
        try:
            if files.spec.warmup:
                first_runs(files, workers)
        except RunError:
            pass  # it survived; what is to be said of the answer is said when it is loaded
        except WorkerLost as lost:
            raise died(lost) from None
        finally:
            workers.close()


def died(lost: WorkerLost) -> MachineError:
    """Why a version whose process did not survive its load is not served."""
    return MachineError(f"the model's process did not survive the warm-up: {lost.reason}")


def batch_run(
    model: str, backend: Backend, signature: Signature, workers: WorkerSet | None
) -> Callable[[Sequence[Request]], list[Answer]]:
    """What runs a batch and answers each of its members. `workers` are those behind `backend`, if any."""
    if workers is None:
        return Execution(model, backend, signature).run
    run = Execution(model, backend, signature, stage=workers.stage).run
    return CrashPolicy(run, Quarantine(), workers.counts, model=model).run


def _best(backend: str, device: str) -> Kind:
    return "thread" if backend == "onnxruntime" and device == "cpu" else "process"


def _reference(opener: Opener) -> str:
    """How a worker finds the opener: a function of a module."""
    return f"{opener.__module__}:{opener.__qualname__}"

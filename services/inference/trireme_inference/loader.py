"""A version's files to a servable: digests, backend, schema, warm-up, golden answer, scheduler."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

import structlog

from trireme_common.errors import SpecError
from trireme_common.memory import HOST
from trireme_common.model_spec import ModelSpec
from trireme_common.process_memory import resident_bytes
from trireme_common.repository import VersionFiles
from trireme_common.shelf import Needs
from trireme_common.stage_state import ModelDescriptor
from trireme_common.triton.queue_policy import QueuePolicy
from trireme_inference.backend import Backend, Opener, OpenOptions
from trireme_inference.batcher import Batcher, Run
from trireme_inference.bucket_trial import with_buckets
from trireme_inference.content import Content
from trireme_inference.declared import agreed
from trireme_inference.devices import free_gpu_bytes
from trireme_inference.held_memory import HeldMemory
from trireme_inference.isolation import Isolation, batch_run, died
from trireme_inference.observer import Observer
from trireme_inference.placement import devices_of, devices_of_groups, first_device
from trireme_inference.scheduling import policy_notes, policy_of, sees_all
from trireme_inference.servable import InferenceServable
from trireme_inference.signature import Signature, batches
from trireme_inference.triton_model import completed, config_json, in_file, labelled, reshaped
from trireme_inference.tuner import Open, Tuner
from trireme_inference.tuning import Curve
from trireme_inference.warm_up import warm_up
from trireme_inference.workers.worker import WorkerLost
from trireme_inference.workers.worker_set import WorkerSet

logger = structlog.get_logger(__name__)


class Telemetry(Protocol):
    """Where the numbers of a model version go."""

    def observer(self, model: str, version: str) -> Observer: ...

    def watch_pending(self, model: str, version: str, pending: Callable[[], int]) -> Callable[[], None]:
        """Reads `pending` when asked for metrics, until the returned function is called."""

    def show_curve(self, model: str, version: str, curve: Curve) -> Callable[[], None]:
        """Shows what was measured at load, until the returned function is called."""


@dataclass(frozen=True)
class Machine:
    """What a model may use. `device` is what model.yaml's `auto` means here; it may be `auto` itself."""

    device: str = "cpu"
    gpus: int = 0
    cuda_backends: frozenset[str] = frozenset()
    """The backends whose runtime can use them."""
    free_bytes: Callable[[str], int | None] = free_gpu_bytes
    """Free memory of `cuda:N`; None where nobody tells."""
    threads: int = 1
    options: OpenOptions = field(default_factory=OpenOptions)
    """What every model is opened with, but for what its spec says."""
    close_grace_seconds: float = 30.0

    def used_bytes(self, device: str) -> int | None:
        """What is taken of a device, but for a constant: of HOST by this process, of a GPU by whomever; None
        where nobody tells."""
        if device == HOST:
            return resident_bytes()
        free = self.free_bytes(device)
        return None if free is None else -free


class Loader:
    """Loads versions; called in a thread, by a ModelStore whose loop is `loop`."""

    def __init__(
        self,
        openers: Mapping[str, Opener],
        machine: Machine,
        telemetry: Telemetry,
        loop: asyncio.AbstractEventLoop,
        isolation: Isolation,
    ) -> None:
        self._openers = openers
        self._machine = machine
        self._telemetry = telemetry
        self._loop = loop
        self._isolation = isolation
        self._memory = HeldMemory(machine.used_bytes)

    def load(self, files: VersionFiles) -> InferenceServable:
        """Raises SpecError saying what is wrong with the version."""
        opener = self._opener(files.spec)
        content = Content.of(files)
        files, devices = self._placed(files)
        options = self._options(files, devices[0])
        behind: dict[Backend, WorkerSet] = {}
        watched = {device for device in devices if device != HOST}
        if self._isolation.kind(files, options) == "thread":
            watched.add(HOST)

        def open_model(spec: ModelSpec, threads: int) -> Backend:
            opened = self._isolation.open(files, opener, replace(options, threads=threads), content, devices)
            try:
                backend = reshaped(opened, files)
            except BaseException:
                opened.close()
                raise
            if isinstance(opened, WorkerSet):
                behind[backend] = opened
            return backend

        with self._memory.growth(watched) as grown:
            servable, workers = self._tuned(files, open_model, options.device, content.digest, behind)
        stands = {options.device} if workers is None else set(workers.devices().values())
        private = None if workers is None else workers.private_bytes()
        servable.held = self._memory.held(files, stands - {HOST}, grown, private)
        return servable

    def needs(self, files: VersionFiles) -> Needs:
        """What a load takes of this machine's memory. Raises SpecError for a device that is not there."""
        return self._memory.needs(files, first_device(files, self._machine.device, self._gpus(files.spec)))

    def _tuned(
        self,
        files: VersionFiles,
        open_model: Open,
        device: str,
        digest: str,
        behind: Mapping[Backend, WorkerSet],
    ) -> tuple[InferenceServable, WorkerSet | None]:
        tuner = Tuner(files.spec, open_model, threads=self._machine.threads, gpu=device != "cpu")
        try:
            return self._assemble(files, tuner, digest, behind), behind.get(tuner.backend)
        except WorkerLost as lost:
            tuner.backend.close()
            raise died(lost) from None
        except BaseException:
            tuner.backend.close()
            raise

    def _opener(self, spec: ModelSpec) -> Opener:
        opener = self._openers.get(spec.backend)
        if opener is None:
            raise SpecError(
                f"backend '{spec.backend}': this build serves {', '.join(self._openers)} only; export the "
                "model to ONNX (torch.onnx.export), put model.onnx into the version, set backend: onnxruntime"
            )
        return opener

    def _placed(self, files: VersionFiles) -> tuple[VersionFiles, tuple[str, ...]]:
        """The devices of the instances in turn, and the version with as many instances as stand there."""
        machine, spec = self._machine, files.spec
        gpus = self._gpus(spec)
        if files.triton is not None and files.triton.gpus:
            devices = devices_of_groups(files.triton.gpus, gpus)
            instances = spec.instances.model_copy(update={"count": len(devices)})
            notes = files.notes
            in_threads = self._isolation.kind(files, OpenOptions(device=devices[0])) == "thread"
            if in_threads and len(set(devices)) > 1:
                notes = (*notes, f"{files.spec_file}: instances in threads all stand on {devices[0]}")
            spec = spec.model_copy(update={"instances": instances})
            return replace(files, spec=spec, notes=notes), devices
        return files, devices_of(spec.instances.device, machine.device, gpus, machine.free_bytes)

    def _gpus(self, spec: ModelSpec) -> int:
        return self._machine.gpus if spec.backend in self._machine.cuda_backends else 0

    def _options(self, files: VersionFiles, device: str) -> OpenOptions:
        return replace(
            self._machine.options,
            device=device,
            model_file=files.triton.model_file if files.triton is not None else "",
            inputs=in_file(files, "input"),
            outputs=in_file(files, "output"),
            batches=files.spec.batching.max_batch_size > 0,
        )

    def _assemble(
        self, files: VersionFiles, tuner: Tuner, digest: str, behind: Mapping[Backend, WorkerSet]
    ) -> InferenceServable:
        draft = _drafted(files, tuner.backend)
        if files.spec.warmup:
            # What a GPU fails for in this process it fails for every other model here from then on.
            draft.try_out(files, tuner, new_indices=tuner.backend in behind or tuner.backend.device == HOST)
        if draft.spec.batching.shape_buckets:
            draft.signature, problem = with_buckets(draft.signature, tuner.backend, files)
            if problem:
                draft.notes.append(f"shape_buckets are off: {problem}")
        if draft.notes:
            logger.warning("model_notes", model=draft.spec.name, version=files.version, notes=draft.notes)
        return self._servable(files, tuner, draft, digest, behind.get(tuner.backend))

    def _servable(
        self, files: VersionFiles, tuner: Tuner, draft: _Draft, digest: str, workers: WorkerSet | None
    ) -> InferenceServable:
        spec, signature, backend = draft.spec, draft.signature, tuner.backend
        version = str(files.version)
        run = batch_run(spec.name, backend, signature, workers)
        if workers is not None:
            workers.grow(spec.instances.count)
        queue = files.triton.queue if files.triton is not None else QueuePolicy()
        batcher = self._batcher(spec, version, run, signature, tuner.curve, queue)
        descriptor = replace(
            ModelDescriptor.of(spec, digest=digest, platform=backend.platform),
            inputs=signature.inputs,
            outputs=signature.outputs,
            max_batch_size=spec.batching.max_batch_size if signature.batchable else 0,
            config=config_json(files, signature),
            at_once=sees_all(spec.batching, queue),
        )
        return InferenceServable(
            descriptor,
            "; ".join(draft.notes),
            signature,
            batcher,
            backend,
            close_grace_seconds=self._machine.close_grace_seconds,
            on_close=(
                self._telemetry.watch_pending(spec.name, version, lambda: batcher.pending),
                self._isolation.watch(spec.name, version, workers),
                self._telemetry.show_curve(spec.name, version, tuner.curve),
            ),
        )

    def _batcher(
        self,
        spec: ModelSpec,
        version: str,
        run: Run,
        signature: Signature,
        curve: Curve,
        queue: QueuePolicy,
    ) -> Batcher:
        batching = spec.batching
        most = batching.max_batch_size if signature.batchable else 1
        return Batcher(
            run,
            policy_of(batching, most, instances=spec.instances.count, measured=curve),
            self._loop,
            instances=spec.instances.count,
            max_queue_size=batching.max_queue_size,
            priority_levels=batching.priority_levels,
            default_level=queue.default_level,
            queue_seconds=queue.timeout_seconds,
            key=signature.key,
            observer=self._telemetry.observer(spec.name, version),
            name=f"{spec.name}-{version}",
        )


@dataclass(slots=True)
class _Draft:
    """A version on its way to a servable; `notes` are what its status will say of it."""

    spec: ModelSpec
    signature: Signature
    notes: list[str]

    def try_out(self, files: VersionFiles, tuner: Tuner, *, new_indices: bool) -> None:
        """Runs the model, and settles how it is run by what was measured. Raises SpecError."""
        warm = warm_up(files, tuner.backend, self.signature, self.notes, new_indices=new_indices)
        if warm.problem:
            self.signature = replace(self.signature, batchable=False)
            self.notes.append(f"batching is off: {warm.problem}")
        if warm.feed:
            tuner.tune(self.signature, warm.feed)
            self.spec = tuner.spec


def _drafted(files: VersionFiles, backend: Backend) -> _Draft:
    """What the spec and the model file agree on. Raises SpecError where they do not."""
    spec, source = files.spec, files.spec_file
    inputs = agreed("input", completed(files, "input", backend.inputs), backend.inputs, source)
    outputs = agreed("output", completed(files, "output", backend.outputs), backend.outputs, source)
    outputs = labelled(files, outputs)
    batchable = spec.batching.max_batch_size > 0 and batches(inputs, outputs)
    return _Draft(spec, Signature(inputs, outputs, batchable), [*files.notes, *policy_notes(spec.batching)])

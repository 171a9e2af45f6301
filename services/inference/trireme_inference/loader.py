"""A version's files to a servable: digests, backend, schema, warm-up, golden answer, scheduler."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import structlog

from trireme_common.errors import SpecError, TriremeError
from trireme_common.model_spec import ModelSpec
from trireme_common.repository import VersionFiles, content_digest
from trireme_common.stage_state import ModelDescriptor, TensorInfo
from trireme_common.tensors import Array, dtype_of
from trireme_inference.backend import Backend, Opener, OpenOptions, RunError
from trireme_inference.batch_policy import BatchPolicy
from trireme_inference.batcher import Batcher
from trireme_inference.devices import resolve_device
from trireme_inference.execution import Execution
from trireme_inference.golden import read_golden
from trireme_inference.observer import Observer
from trireme_inference.servable import InferenceServable
from trireme_inference.signature import Signature, batches

logger = structlog.get_logger(__name__)

# How far a row of a batch may be from its answer alone before batching is refused.
_TOGETHER_RTOL = 1e-3
_TOGETHER_ATOL = 1e-4


class Telemetry(Protocol):
    """Where the numbers of a model version go."""

    def observer(self, model: str, version: str) -> Observer: ...

    def watch_pending(self, model: str, version: str, pending: Callable[[], int]) -> Callable[[], None]:
        """Reads `pending` when asked for metrics, until the returned function is called."""


@dataclass(frozen=True)
class Machine:
    """What a model may use. `device` is what model.yaml's `auto` means here."""

    device: str = "cpu"
    gpus: int = 0
    threads: int = 1
    gpu_memory_limit_bytes: int = 0
    cpu_arena: bool = True
    close_grace_seconds: float = 30.0


class Loader:
    """Loads versions; called in a thread, by a ModelStore whose loop is `loop`."""

    def __init__(
        self,
        openers: Mapping[str, Opener],
        machine: Machine,
        telemetry: Telemetry,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._openers = openers
        self._machine = machine
        self._telemetry = telemetry
        self._loop = loop

    def load(self, files: VersionFiles) -> InferenceServable:
        """Raises SpecError saying what is wrong with the version."""
        spec = files.spec
        opener = self._opener(spec)
        digest = content_digest(files, with_model=True)
        backend = opener(files.directory, self._options(spec))
        try:
            return self._assemble(files, backend, digest)
        except BaseException:
            backend.close()
            raise

    def _opener(self, spec: ModelSpec) -> Opener:
        opener = self._openers.get(spec.backend)
        if opener is None:
            raise SpecError(
                f"backend '{spec.backend}': this build serves {', '.join(self._openers)} only; export the "
                "model to ONNX (torch.onnx.export), put model.onnx into the version, set backend: onnxruntime"
            )
        return opener

    def _options(self, spec: ModelSpec) -> OpenOptions:
        machine = self._machine
        return OpenOptions(
            device=resolve_device(spec.instances.device, machine.device, machine.gpus),
            threads=max(1, machine.threads // spec.instances.count),
            gpu_memory_limit_bytes=machine.gpu_memory_limit_bytes,
            cpu_arena=machine.cpu_arena,
        )

    def _assemble(self, files: VersionFiles, backend: Backend, digest: str) -> InferenceServable:
        spec, version = files.spec, str(files.version)
        inputs = _agreed("input", tuple(map(TensorInfo.of, spec.inputs)), backend.inputs)
        outputs = _agreed("output", tuple(map(TensorInfo.of, spec.outputs)), backend.outputs)
        signature = Signature(inputs, outputs, batches(inputs, outputs))
        notes = _not_honoured(spec)
        if spec.warmup:
            problem = _warm_up(files, backend, signature)
            if problem:
                signature = replace(signature, batchable=False)
                notes.append(f"batching is off: {problem}")
        if notes:
            logger.warning("model_notes", model=spec.name, version=version, notes=notes)
        batcher = self._batcher(spec, version, backend, signature)
        descriptor = replace(
            ModelDescriptor.of(spec, digest=digest, platform=backend.platform),
            inputs=inputs,
            outputs=outputs,
            max_batch_size=spec.batching.max_batch_size if signature.batchable else 0,
        )
        return InferenceServable(
            descriptor,
            "; ".join(notes),
            signature,
            batcher,
            backend,
            close_grace_seconds=self._machine.close_grace_seconds,
            on_close=self._telemetry.watch_pending(spec.name, version, lambda: batcher.pending),
        )

    def _batcher(self, spec: ModelSpec, version: str, backend: Backend, signature: Signature) -> Batcher:
        batching = spec.batching
        most = batching.max_batch_size if signature.batchable else 1
        policy = BatchPolicy(
            max_rows=most,
            preferred_rows=tuple(size for size in batching.preferred_batch_sizes if 1 <= size <= most),
            max_delay_seconds=batching.max_queue_delay_ms / 1000,
        )
        return Batcher(
            Execution(spec.name, backend, signature).run,
            policy,
            self._loop,
            instances=spec.instances.count,
            max_queue_size=batching.max_queue_size,
            observer=self._telemetry.observer(spec.name, version),
            name=f"{spec.name}-{version}",
        )


def _not_honoured(spec: ModelSpec) -> list[str]:
    keys = {
        "batching.shape_buckets": bool(spec.batching.shape_buckets),
        "batching.latency_objective_ms": spec.batching.latency_objective_ms is not None,
        "batching.priority_levels": spec.batching.priority_levels > 1,
        "memory.pinned": spec.memory.pinned,
        "memory.lazy": spec.memory.lazy,
        "instances.isolation: process": spec.instances.isolation == "process",
    }
    found = [key for key, given in keys.items() if given]
    return [f"not honoured by this version of the service: {', '.join(found)}"] if found else []


def _agreed(
    kind: str, declared: tuple[TensorInfo, ...], actual: tuple[TensorInfo, ...]
) -> tuple[TensorInfo, ...]:
    """The declared tensors where they fit the model file's, else SpecError; the file's where none are
    declared. A declared shape may be narrower than the file's; outputs may be left out."""
    if not declared:
        return actual
    have = {info.name: info for info in actual}
    for info in declared:
        real = have.get(info.name)
        if real is None:
            raise SpecError(f"model.yaml declares {kind} '{info.name}'; the model file has {', '.join(have)}")
        if info.datatype != real.datatype:
            raise SpecError(
                f"{kind} '{info.name}': model.yaml says {info.datatype}, the model file has {real.datatype}"
            )
        if len(info.shape) != len(real.shape) or any(
            there not in (-1, said) for said, there in zip(info.shape, real.shape, strict=True)
        ):
            raise SpecError(
                f"{kind} '{info.name}': model.yaml says shape {list(info.shape)}, "
                f"the model file has {list(real.shape)}"
            )
    left_out = [name for name in have if name not in {info.name for info in declared}]
    if left_out and kind == "input":
        raise SpecError(f"the model file also takes input '{left_out[0]}', which model.yaml does not declare")
    return declared


def _warm_up(files: VersionFiles, backend: Backend, signature: Signature) -> str:
    """Runs the model once on its golden request, or on zeros, and once with as many rows more.

    Returns why requests may not share a run, or an empty string. Raises SpecError.
    """
    path = files.golden
    golden = read_golden(path) if path is not None else None
    if golden is None:
        feed = {info.name: _zeros(info) for info in signature.inputs}
    else:
        try:
            signature.check(golden.request)
        except TriremeError as error:
            raise SpecError(f"{path}: {error.detail}") from error
        feed = {tensor.name: tensor.array() for tensor in golden.request}
    try:
        alone = backend.run(feed, signature.fetch)
    except RunError as error:
        what = "the golden request" if golden else "zeros (give a golden.json, or set warmup: false)"
        raise SpecError(f"warm-up with {what} failed: {error.detail}") from error
    if golden is not None:
        golden.compare(dict(zip(signature.fetch, alone, strict=True)))
    if not signature.batchable or files.spec.batching.max_batch_size == 1:
        return ""
    return _together(backend, signature, feed, alone)


def _zeros(info: TensorInfo) -> Array:
    shape = tuple(1 if size == -1 else size for size in info.shape)
    dtype = dtype_of(info.datatype)
    return np.full(shape, b"", dtype=object) if dtype is None else np.zeros(shape, dtype=dtype)


def _together(
    backend: Backend, signature: Signature, feed: Mapping[str, Array], alone: Sequence[Array]
) -> str:
    rows = len(next(iter(feed.values())))
    outputs = _run_beside(backend, signature, feed)
    if outputs is None:
        return f"the model fails on {2 * rows} rows"
    for info, single, double in zip(signature.outputs, alone, outputs, strict=True):
        if single.shape[:1] != (rows,) or double.shape[:1] != (2 * rows,):
            return f"output '{info.name}' has not the rows of the input"
        if not _same(double[:rows], single):
            return f"output '{info.name}' of a row depends on its neighbours"
    return ""


def _run_beside(backend: Backend, signature: Signature, feed: Mapping[str, Array]) -> list[Array] | None:
    """Outputs with neighbours of zeros or, for a model that dislikes them, with the same rows again."""
    empty = {info.name: b"" if info.datatype == "BYTES" else 0 for info in signature.inputs}
    for neighbours in ({name: np.full_like(array, empty[name]) for name, array in feed.items()}, feed):
        try:
            return backend.run(
                {name: np.concatenate([array, neighbours[name]]) for name, array in feed.items()},
                signature.fetch,
            )
        except RunError:
            continue
    return None


def _same(left: Array, right: Array) -> bool:
    if right.dtype.kind != "f":
        return bool(np.array_equal(left, right))
    return bool(
        left.shape == right.shape
        and np.allclose(left, right, rtol=_TOGETHER_RTOL, atol=_TOGETHER_ATOL, equal_nan=True)
    )

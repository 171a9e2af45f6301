"""A config.pbtxt as the platform's own spec, and what only a repository of Triton's says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from pydantic import ValidationError

from trireme_common.errors import SpecError
from trireme_common.model_spec import ModelSpec
from trireme_common.triton.backends import Served, served_backend
from trireme_common.triton.instances import GpuGroup, InstanceGroups, read_instances
from trireme_common.triton.keys import Fate, not_honoured, set_keys
from trireme_common.triton.pbtxt import ParsedConfig, read_config
from trireme_common.triton.queue_policy import MAX_PRIORITY_LEVELS, QueuePolicy, read_queue_policy
from trireme_common.triton.tensors import Declared, Shape, Tensors, read_tensors
from trireme_common.triton.warmup import WarmUpSample, read_warmup

CONFIG_FILE = "config.pbtxt"
_MAX_DELAY_MICROSECONDS = 60_000_000
_DYNAMIC, _QUEUE = "dynamic_batching", "default_queue_policy"

# Where a value of the spec comes from, for errors; positions of tensors are the same on both sides.
_SOURCES: Mapping[tuple[str, ...], tuple[str, ...]] = {
    ("batching", "max_batch_size"): ("max_batch_size",),
    ("batching", "max_queue_size"): (_DYNAMIC, _QUEUE, "max_queue_size"),
    ("instances", "count"): ("instance_group",),
    ("versions",): ("version_policy",),
    ("inputs",): ("input",),
    ("outputs",): ("output",),
}


@dataclass(frozen=True)
class TritonModel:
    """What a config.pbtxt says: the spec that a model.yaml would give, and the rest."""

    spec: ModelSpec
    config: bytes
    """The serialised ModelConfig, as it was written but for unknown keys."""
    notes: tuple[str, ...]
    """What is not honoured."""
    model_file: str
    """Name of the model file in a version's directory."""
    label_files: Mapping[str, str]
    """Label file, beside config.pbtxt, by the name of its output."""
    inputs: tuple[Declared, ...]
    outputs: tuple[Declared, ...]
    input_shapes: Mapping[str, Shape]
    output_shapes: Mapping[str, Shape]
    """Shapes in the model file, batch dimension first, of tensors that callers see in another."""
    asks_for_batches: bool
    """Whether it says `dynamic_batching`."""
    gpus: tuple[GpuGroup, ...]
    """On which GPUs the instances stand, where the configuration says so."""
    queue: QueuePolicy
    warmup: tuple[WarmUpSample, ...]


def read_triton_model(path: Path, files: Iterable[str] = ()) -> TritonModel:
    """Reads a config.pbtxt; `files` are names of what stands in the versions of the model.

    Raises SpecError with file, line and key of what cannot be served.
    """
    files = tuple(files)
    config = read_config(path)
    _refuse(config)
    message = config.message
    served = served_backend(config, files)
    batch = _max_batch_size(config)
    # Without a size, tensors have no dims either, and the model file says all shapes.
    inputs, outputs = (read_tensors(config, side, batched=batch != 0) for side in ("input", "output"))
    groups = read_instances(config)
    content, beyond = _content(config, served, inputs, outputs, batch, groups)
    try:
        spec = ModelSpec.model_validate(content)
    except ValidationError as error:
        raise _explain(config, error) from error
    return TritonModel(
        spec=spec,
        config=message.SerializeToString(deterministic=True),
        notes=tuple(_notes([*not_honoured(message), *beyond], config.unknown)),
        model_file=_model_file(config, served, files),
        label_files=_label_files(config),
        inputs=inputs.declared,
        outputs=outputs.declared,
        input_shapes=inputs.file_shapes,
        output_shapes=outputs.file_shapes,
        asks_for_batches=message.HasField("dynamic_batching"),
        gpus=groups.gpus,
        queue=read_queue_policy(config),
        warmup=read_warmup(config, batch),
    )


def _refuse(config: ParsedConfig) -> None:
    for key in set_keys(config.message):
        if key.fate is Fate.REFUSED:
            raise config.error(f"not served: {key.meaning}", *key.name.split("."))


def _max_batch_size(config: ParsedConfig) -> int | None:
    """None where nothing of the file tells, so that the model file may."""
    message = config.message
    has_shapes = any(tensor.dims for tensor in message.input) or any(t.dims for t in message.output)
    if message.max_batch_size or ("max_batch_size",) in config.lines or has_shapes:
        return message.max_batch_size
    return None


def _content(
    config: ParsedConfig,
    served: Served,
    inputs: Tensors,
    outputs: Tensors,
    batch: int | None,
    groups: InstanceGroups,
) -> tuple[dict[str, Any], list[str]]:
    """The spec as a model.yaml would have it, and the values that go beyond what is served."""
    batching, beyond = _batching(config, batch)
    content = {
        "name": config.message.name or config.path.parent.name,
        "backend": served.backend,
        "inputs": served.in_order(inputs.specs()),
        "outputs": served.in_order(outputs.specs()),
        "batching": batching,
        "instances": groups.instances,
        "versions": _versions(config),
        "cache": {"enabled": config.message.response_cache.enable},
    }
    return content, [*beyond, *groups.left_out]


def _batching(config: ParsedConfig, batch: int | None) -> tuple[dict[str, Any], list[str]]:
    dynamic = config.message.dynamic_batching
    for size in dynamic.preferred_batch_size:
        # Without a size the model file and the measurement at load decide; what is beyond is never reached.
        if size < 1 or (batch is not None and size > batch):
            raise config.error(
                f"{size} is not {'positive' if batch is None else f'between 1 and max_batch_size {batch}'}",
                _DYNAMIC,
                "preferred_batch_size",
            )
    if dynamic.max_queue_delay_microseconds > _MAX_DELAY_MICROSECONDS:
        raise config.error(
            f"at most {_MAX_DELAY_MICROSECONDS}, a minute", _DYNAMIC, "max_queue_delay_microseconds"
        )
    batching: dict[str, Any] = {
        "max_queue_delay_ms": dynamic.max_queue_delay_microseconds / 1000,
        "preferred_batch_sizes": tuple(dynamic.preferred_batch_size),
        "priority_levels": min(max(1, dynamic.priority_levels), MAX_PRIORITY_LEVELS),
    }
    if batch is not None:
        batching["max_batch_size"] = batch
    if dynamic.default_queue_policy.max_queue_size:
        batching["max_queue_size"] = dynamic.default_queue_policy.max_queue_size
    return batching, _beyond(config, batch)


def _beyond(config: ParsedConfig, batch: int | None) -> list[str]:
    """Values of `dynamic_batching` that are not honoured, although their keys are."""
    dynamic = config.message.dynamic_batching
    override = (_DYNAMIC, _QUEUE, "allow_timeout_override")
    policy = dynamic.default_queue_policy
    kept = policy.default_timeout_microseconds and not policy.allow_timeout_override
    cases = {
        f"{_DYNAMIC}.priority_levels over {MAX_PRIORITY_LEVELS}": dynamic.priority_levels
        > MAX_PRIORITY_LEVELS,
        f"{_DYNAMIC}.max_queue_delay_microseconds with max_batch_size 0": batch == 0
        and dynamic.max_queue_delay_microseconds,
        # Left out it means the same, but then nobody wrote it.
        f"{'.'.join(override)} false": kept and override in config.lines,
    }
    return [name for name, is_set in cases.items() if is_set]


def _versions(config: ParsedConfig) -> dict[str, Any]:
    policy = config.message.version_policy
    match policy.WhichOneof("policy_choice"):
        case "all":
            return {"policy": "all"}
        case "specific":
            if not policy.specific.versions:
                raise config.error("versions are missing", "version_policy", "specific")
            return {"policy": "specific", "list": tuple(policy.specific.versions)}
        case _:
            return {"policy": "latest", "count": max(1, policy.latest.num_versions)}


def _model_file(config: ParsedConfig, served: Served, files: tuple[str, ...]) -> str:
    name = config.message.default_model_filename
    if name in (".", "..") or "/" in name or "\\" in name or "\0" in name:
        raise config.error(
            f"'{name}' is not the name of a file of the version's directory", "default_model_filename"
        )
    return name or next((usual for usual in served.files if usual in files), served.files[0])


def _label_files(config: ParsedConfig) -> dict[str, str]:
    files = {}
    for at, output in enumerate(config.message.output):
        name = PurePosixPath(output.label_filename)
        if name.is_absolute() or ".." in name.parts or "\0" in str(name):
            raise config.error(
                f"'{name}' is no file of the model's directory", "output", at, "label_filename"
            )
        if output.label_filename:
            files[output.name] = output.label_filename
    return files


def _notes(named: list[str], unknown: tuple[str, ...]) -> list[str]:
    notes = []
    if named:
        notes.append(f"{CONFIG_FILE}: not honoured: {', '.join(named)}")
    if unknown:
        notes.append(f"{CONFIG_FILE}: unknown to this version of the service: {', '.join(unknown)}")
    return notes


def _explain(config: ParsedConfig, error: ValidationError) -> SpecError:
    first = error.errors()[0]
    location = tuple(first["loc"])
    key: tuple[str | int, ...] = location
    for length in range(len(location), 0, -1):
        source = _SOURCES.get(tuple(map(str, location[:length])))
        if source is not None:
            rest = ("dims" if part == "shape" else part for part in location[length:])
            key = (*source, *rest)
            break
    return config.error(str(first["msg"]).removeprefix("Value error, "), *key)

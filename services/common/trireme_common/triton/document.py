"""A loaded version as Triton's model configuration, in the JSON that its REST clients read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from trireme_common.model_spec import Instances, ModelSpec, Versions
from trireme_common.stage_state import TensorInfo
from trireme_common.triton.backends import SERVED
from trireme_common.triton.tensors import data_type_of
from trireme_common.triton.translation import TritonModel
from trireme_protos.inference.model_config_pb2 import (
    ModelConfig,
    ModelInput,
    ModelInstanceGroup,
    ModelOutput,
    ModelVersionPolicy,
)


def model_config(
    spec: ModelSpec,
    inputs: Sequence[TensorInfo],
    outputs: Sequence[TensorInfo],
    *,
    batchable: bool,
    triton: TritonModel | None = None,
) -> ModelConfig:
    """Configuration of a model whose tensors, batch dimension first, are `inputs` and `outputs`.

    What a config.pbtxt says stays; the rest is filled in from `spec`, as Triton completes its own.
    `max_batch_size` is 0 where the tensors have no batch dimension, and 1 where they have one but the
    model does not take rows of several requests.
    """
    config = ModelConfig.FromString(triton.config if triton is not None else b"")
    served = next(served for served in SERVED if served.backend == spec.backend)
    config.name = spec.name
    config.backend, config.platform = served.name, served.platform
    config.default_model_filename = triton.model_file if triton is not None else served.files[0]
    has_batch = spec.batching.max_batch_size > 0 and all(
        info.shape[:1] == (-1,) for info in (*inputs, *outputs)
    )
    config.max_batch_size = (spec.batching.max_batch_size if batchable else 1) if has_batch else 0
    for info in inputs:
        _complete(_entry(config.input, info.name), info, has_batch)
    for info in outputs:
        _complete(_entry(config.output, info.name), info, has_batch)
    if config.WhichOneof("scheduling_choice") is None and config.max_batch_size > 1:
        _set_batching(config, spec)
    if not config.HasField("version_policy"):
        config.version_policy.CopyFrom(_version_policy(spec.versions))
    if not config.instance_group:
        config.instance_group.append(_instance_group(spec.name, spec.instances))
    config.response_cache.enable = spec.cache.enabled
    return config


def to_json(message: Message) -> dict[str, Any]:
    """Triton's JSON form: names as in the .proto, defaults written out, 64-bit integers as numbers
    (protobuf's own JSON makes them strings)."""
    return {
        field.name: _field(message, cast(FieldDescriptor, field))
        for field in message.DESCRIPTOR.fields
        if not field.has_presence or message.HasField(field.name)
    }


def _field(message: Message, field: FieldDescriptor) -> Any:
    value = getattr(message, field.name)
    if not field.is_repeated:
        return _value(value, field)
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        of = field.message_type.fields_by_name["value"]
        return {str(key): _value(value[key], of) for key in value}
    return [_value(element, field) for element in value]


def _value(value: Any, field: FieldDescriptor) -> Any:
    if field.message_type is not None:
        return to_json(value)
    if field.enum_type is not None:
        return field.enum_type.values_by_number[value].name
    return value


def _entry(tensors: Any, name: str) -> ModelInput | ModelOutput:
    there = [tensor for tensor in tensors if tensor.name == name]
    found: ModelInput | ModelOutput = there[0] if there else tensors.add(name=name)
    return found


def _complete(tensor: ModelInput | ModelOutput, info: TensorInfo, has_batch: bool) -> None:
    tensor.data_type = data_type_of(info.datatype)
    if not tensor.dims:
        tensor.dims.extend(info.shape[1:] if has_batch else info.shape)


def _set_batching(config: ModelConfig, spec: ModelSpec) -> None:
    batching, dynamic = spec.batching, config.dynamic_batching
    dynamic.preferred_batch_size.extend(batching.preferred_batch_sizes)
    dynamic.max_queue_delay_microseconds = round(batching.max_queue_delay_ms * 1000)
    if batching.priority_levels > 1:
        dynamic.priority_levels = batching.priority_levels
    dynamic.default_queue_policy.max_queue_size = batching.max_queue_size


def _version_policy(versions: Versions) -> ModelVersionPolicy:
    policy = ModelVersionPolicy()
    match versions.policy:
        case "all":
            policy.all.SetInParent()
        case "specific":
            policy.specific.versions.extend(versions.list)
        case _:
            policy.latest.num_versions = versions.count
    return policy


def _instance_group(name: str, instances: Instances) -> ModelInstanceGroup:
    device, _, number = instances.device.partition(":")
    kind = {
        "cpu": ModelInstanceGroup.KIND_CPU,
        "cuda": ModelInstanceGroup.KIND_GPU,
    }.get(device, ModelInstanceGroup.KIND_AUTO)
    gpus = [int(number)] if number else []
    return ModelInstanceGroup(name=name, kind=kind, count=instances.count, gpus=gpus)

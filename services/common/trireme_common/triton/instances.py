"""`instance_group` of a config.pbtxt: how many instances, on which device."""

from __future__ import annotations

from typing import Any

from trireme_common.triton.pbtxt import ParsedConfig
from trireme_protos.inference.model_config_pb2 import ModelInstanceGroup

_DEVICES = {
    ModelInstanceGroup.KIND_AUTO: "auto",
    ModelInstanceGroup.KIND_MODEL: "auto",
    ModelInstanceGroup.KIND_CPU: "cpu",
    ModelInstanceGroup.KIND_GPU: "cuda",
}


def read_instances(config: ParsedConfig) -> tuple[dict[str, Any], list[str]]:
    """`instances` as model.yaml has it, and what of the groups is not honoured: a model's instances
    stand on one device, so groups on another device than the first one's are left out."""
    groups = config.message.instance_group
    if not groups:
        return {}, []
    device, left_out = _device(groups[0]), []
    count = 0
    for at, group in enumerate(groups):
        if group.count < 0:
            raise config.error("an instance count is not negative", "instance_group", at, "count")
        if _device(group) == device:
            count += group.count or 1
        else:
            left_out.append(f"instance_group[{at}] on another device than the first")
        if group.kind == ModelInstanceGroup.KIND_MODEL:
            left_out.append(f"instance_group[{at}].kind KIND_MODEL")
        unused = group.gpus[1:] if group.kind == ModelInstanceGroup.KIND_GPU else group.gpus[:]
        if unused:
            left_out.append(f"instance_group[{at}].gpus {', '.join(map(str, unused))}")
    return {"count": count, "device": device}, left_out


def _device(group: ModelInstanceGroup) -> str:
    device = _DEVICES[group.kind]
    return f"{device}:{group.gpus[0]}" if device == "cuda" and group.gpus else device

"""`instance_group` of a config.pbtxt: how many instances, on which device."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from trireme_common.triton.pbtxt import ParsedConfig
from trireme_protos.inference.model_config_pb2 import ModelInstanceGroup

_DEVICES = {
    ModelInstanceGroup.KIND_AUTO: "auto",
    ModelInstanceGroup.KIND_MODEL: "auto",
    ModelInstanceGroup.KIND_CPU: "cpu",
    ModelInstanceGroup.KIND_GPU: "cuda",
}


@dataclass(frozen=True)
class GpuGroup:
    """A group of kind KIND_GPU."""

    count: int
    """Instances on each of its GPUs."""
    gpus: tuple[int, ...]
    """Empty for every GPU that is there."""


class InstanceGroups(NamedTuple):
    """What the groups say together."""

    instances: dict[str, Any]
    """`instances` as model.yaml has it; a group on every GPU counts as on one."""
    gpus: tuple[GpuGroup, ...]
    """Empty where the instances are on no GPU by name of their kind."""
    left_out: list[str]
    """What of them is not honoured: the groups of another kind than the first one's."""


def read_instances(config: ParsedConfig) -> InstanceGroups:
    """Reads the groups. Raises SpecError for a count below 0."""
    groups = config.message.instance_group
    if not groups:
        return InstanceGroups({}, (), [])
    kind, gpus, left_out, count = _DEVICES[groups[0].kind], [], [], 0
    for at, group in enumerate(groups):
        if group.count < 0:
            raise config.error("an instance count is not negative", "instance_group", at, "count")
        if group.kind == ModelInstanceGroup.KIND_MODEL:
            left_out.append(f"instance_group[{at}].kind KIND_MODEL")
        if group.gpus and group.kind != ModelInstanceGroup.KIND_GPU:
            left_out.append(f"instance_group[{at}].gpus {', '.join(map(str, group.gpus))}")
        if _DEVICES[group.kind] != kind:
            left_out.append(f"instance_group[{at}] on another kind of device than the first")
            continue
        count += (group.count or 1) * max(1, len(group.gpus) if kind == "cuda" else 1)
        if kind == "cuda":
            gpus.append(GpuGroup(group.count or 1, tuple(group.gpus)))
    return InstanceGroups({"count": count, "device": _device(kind, gpus)}, tuple(gpus), left_out)


def _device(kind: str, groups: list[GpuGroup]) -> str:
    """`cuda:N` where all groups name the same GPU alone."""
    named = {group.gpus for group in groups}
    only = named.pop() if len(named) == 1 else ()
    return f"{kind}:{only[0]}" if len(only) == 1 else kind

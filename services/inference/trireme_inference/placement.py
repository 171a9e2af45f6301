"""Where the instances of a model stand on a machine with several GPUs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from trireme_common.errors import SpecError
from trireme_common.repository import VersionFiles
from trireme_common.triton.instances import GpuGroup
from trireme_inference.devices import resolve_device

_MOST_INSTANCES = 64


def devices_of(
    wanted: str, default: str, gpus: int, free_bytes: Callable[[str], int | None]
) -> tuple[str, ...]:
    """Devices of a model's instances: instance i stands on number i, modulo their number.

    `wanted`, `default` and `gpus` as in resolve_device. `cuda:N` and `cpu` are one device. `cuda`, and
    `auto` where that is no other, are all GPUs: the one with the most free memory comes first (of equals
    the first), then those behind it. `free_bytes`: free memory of `cuda:N`, None where nobody tells; not
    asked where there is no choice. Raises SpecError as resolve_device.
    """
    first = resolve_device(wanted, default, gpus)
    if gpus < 2 or (default if wanted == "auto" else wanted) not in ("auto", "cuda"):
        return (first,)
    names = tuple(f"cuda:{number}" for number in range(gpus))
    emptiest = max(range(gpus), key=lambda number: free_bytes(names[number]) or 0)
    return names[emptiest:] + names[:emptiest]


def first_device(files: VersionFiles, default: str, gpus: int) -> str:
    """Device of a version's first instance; where it has a choice of GPUs, one of them.

    `default` and `gpus` as in resolve_device. Raises SpecError as there.
    """
    if files.triton is not None and files.triton.gpus:
        return devices_of_groups(files.triton.gpus, gpus)[0]
    return resolve_device(files.spec.instances.device, default, gpus)


def devices_of_groups(groups: Sequence[GpuGroup], gpus: int) -> tuple[str, ...]:
    """Device of every instance, by `instance_group` of a config.pbtxt: `count` on each GPU of a group.

    Raises SpecError for a GPU that is not there.
    """
    devices = tuple(
        resolve_device(f"cuda:{gpu}", "auto", gpus)
        for group in groups
        for _ in range(group.count)
        for gpu in group.gpus or range(max(1, gpus))
    )
    if len(devices) > _MOST_INSTANCES:
        raise SpecError(
            f"instance_group asks for {len(devices)} instances on the {gpus} GPUs here; "
            f"at most {_MOST_INSTANCES}, so lower count"
        )
    return devices

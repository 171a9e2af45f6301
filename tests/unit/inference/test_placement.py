"""On which GPUs the instances of a model stand."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.support import crashing
from tests.support.inference_fakes import Pending
from tests.support.onnx_models import write_version
from tests.support.workers import CountsByVersion, shared_isolation
from trireme_common.errors import SpecError
from trireme_common.repository import scan
from trireme_common.triton.instances import GpuGroup
from trireme_inference.isolation import Isolation
from trireme_inference.loader import Loader, Machine
from trireme_inference.placement import devices_of, devices_of_groups
from trireme_inference.servable import InferenceServable

FREE = {"cuda:0": 5, "cuda:1": 9, "cuda:2": 9}


@pytest.mark.parametrize(
    ("wanted", "default", "gpus", "expected"),
    [
        ("auto", "auto", 3, ("cuda:1", "cuda:2", "cuda:0")),
        ("cuda", "cpu", 3, ("cuda:1", "cuda:2", "cuda:0")),
        ("auto", "cuda", 2, ("cuda:1", "cuda:0")),
        ("auto", "cuda:2", 3, ("cuda:2",)),
        ("cuda:0", "auto", 3, ("cuda:0",)),
        ("auto", "cpu", 3, ("cpu",)),
        ("auto", "auto", 1, ("cuda:0",)),
        ("auto", "auto", 0, ("cpu",)),
    ],
)
def test_instances_spread_from_the_emptiest_gpu_on_unless_one_is_named(
    wanted: str, default: str, gpus: int, expected: tuple[str, ...]
) -> None:
    assert devices_of(wanted, default, gpus, FREE.get) == expected


def test_where_nobody_tells_the_memory_the_first_gpu_comes_first() -> None:
    assert devices_of("auto", "auto", 2, lambda device: None) == ("cuda:0", "cuda:1")


def test_the_memory_is_asked_only_where_there_is_a_choice() -> None:
    def unasked(device: str) -> int:
        raise AssertionError(device)

    assert devices_of("auto", "auto", 1, unasked) == ("cuda:0",)
    assert devices_of("cuda:1", "auto", 2, unasked) == ("cuda:1",)


@pytest.mark.parametrize(
    ("groups", "expected"),
    [
        ([GpuGroup(1, (0, 1))], "0 1"),
        ([GpuGroup(2, (2, 0)), GpuGroup(1, (1,))], "2 0 2 0 1"),
        ([GpuGroup(2, ())], "0 1 2 0 1 2"),
    ],
)
def test_a_group_puts_its_count_on_each_of_its_gpus(groups: list[GpuGroup], expected: str) -> None:
    assert devices_of_groups(groups, 3) == tuple(f"cuda:{number}" for number in expected.split())


@pytest.mark.parametrize(
    ("group", "gpus", "expected"),
    [
        (GpuGroup(1, (0, 2)), 2, "cuda:2 is asked for, but the last GPU here is cuda:1"),
        (GpuGroup(1, ()), 0, "CUDA is missing"),
        (GpuGroup(40, ()), 2, "80 instances on the 2 GPUs here; at most 64"),
    ],
)
def test_a_group_that_cannot_stand_here(group: GpuGroup, gpus: int, expected: str) -> None:
    with pytest.raises(SpecError, match=expected):
        devices_of_groups([group], gpus)


def load(models: Path, isolation: Isolation) -> InferenceServable:
    """Loads the one version in `models` with three GPUs, as a fake backend tells them."""
    (files,) = scan(models).versions
    machine: dict[str, Any] = {"gpus": 3, "cuda_backends": frozenset({"onnxruntime"})}
    lent = Machine(free_bytes=FREE.get, device="auto", **machine)
    openers = {"onnxruntime": crashing.open_doubler}
    return Loader(openers, lent, Pending(), asyncio.get_event_loop(), isolation).load(files)


@pytest.mark.parametrize(
    ("instances", "expected"),
    [
        ("{count: 4}", "1 2 0 1"),
        ("{count: 1}", "1"),
        ("{count: 2, device: cuda}", "1 2"),
        ("{count: 2, device: 'cuda:0'}", "0 0"),
    ],
)
async def test_every_worker_is_told_its_gpu(tmp_path: Path, instances: str, expected: str) -> None:
    version = write_version(tmp_path, "m", 1, b"", spec=f"instances: {instances}\n")
    (version.parent / "devices").touch()
    await load(tmp_path, shared_isolation()).close()
    assert (version.parent / "devices").read_text().split() == [f"cuda:{n}" for n in expected.split()]


async def test_the_gpus_of_an_instance_group_are_all_used(tmp_path: Path) -> None:
    version = write_version(tmp_path, "m", 1, b"")
    (tmp_path / "m" / "config.pbtxt").write_text("instance_group { kind: KIND_GPU gpus: [ 0, 2 ] count: 2 }")
    (version.parent / "devices").touch()
    servable = load(tmp_path, shared_isolation())
    assert (version.parent / "devices").read_text().split() == ["cuda:0", "cuda:2", "cuda:0", "cuda:2"]
    assert servable.notes == ""
    await servable.close()


async def test_instances_in_threads_share_the_first_gpu_and_that_is_said(tmp_path: Path) -> None:
    version = write_version(tmp_path, "m", 1, b"")
    (tmp_path / "m" / "config.pbtxt").write_text("instance_group { kind: KIND_GPU gpus: [ 2, 0 ] }")
    (version.parent / "devices").touch()
    isolation = Isolation(CountsByVersion(), preferred="thread")
    servable = load(tmp_path, isolation)
    assert set((version.parent / "devices").read_text().split()) == {"cuda:2"}
    assert "instances in threads all stand on cuda:2" in servable.notes
    await servable.close()
    isolation.close()

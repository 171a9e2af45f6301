"""A GPU that is too small for all models: its driver refuses, others leave, and a refusal is not final."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from tests.support.model_stores import LINGER, FakeServable, World, until, watched
from tests.support.repositories import write_model
from trireme_common.errors import Code, TriremeError
from trireme_common.memory import MemoryBudget, NoRoomError, Shortage
from trireme_common.orders import Order
from trireme_common.repository import VersionFiles
from trireme_common.retries import FIRST_PAUSE_SECONDS
from trireme_common.shelf import Needs
from trireme_common.stage_state import ModelDescriptor, State

LAZY = "name: {}\nmemory: {{lazy: true}}\n"
PINNED = "name: {}\nmemory: {{pinned: true}}\n"
GPU = "cuda:0"


class Standing(FakeServable):
    """A servable that takes a byte of a GPU for every letter of its weights, until it is closed."""

    def __init__(self, files: VersionFiles, free: dict[str, int]) -> None:
        super().__init__(files)
        self._free = free
        self.held = {"cpu": 1, GPU: len(self.weights)}
        if free[GPU] < len(self.weights):
            missing = len(self.weights) - free[GPU]
            raise NoRoomError(f"lacks {missing} bytes on {GPU}", Shortage(GPU, missing))
        free[GPU] -= len(self.weights)

    async def close(self) -> None:
        await super().close()
        self._free[GPU] += len(self.weights)


class Small(World):
    """A world with a GPU of 100 bytes, and a host that models on it take next to nothing of."""

    def __init__(self, root: Path) -> None:
        self.free = {GPU: 100}
        self.moments = 0.0
        super().__init__(
            root,
            preview=lambda files: ModelDescriptor(task=files.spec.task, digest="previewed"),
            needs=lambda files: Needs(0, alone=True),
            budget=MemoryBudget(10, self.moment),
        )

    def moment(self) -> float:
        self.moments += 1
        return self.moments

    def load(self, files: VersionFiles) -> FakeServable:
        self.loaded.append((files.spec.name, files.version))
        return Standing(files, self.free)

    async def ask(self, name: str, version: str = "1") -> FakeServable:
        async with asyncio.timeout(10):
            return await self.store.acquire(name, version)


class Greedy(Small):
    """Its model `a` lacks 20 bytes, whatever leaves."""

    def load(self, files: VersionFiles) -> FakeServable:
        if files.spec.name != "a":
            return super().load(files)
        self.loaded.append((files.spec.name, files.version))
        raise NoRoomError(f"lacks 20 bytes on {GPU}", Shortage(GPU, 20))


async def test_the_least_recently_used_leave_a_full_gpu_and_come_back(tmp_path: Path) -> None:
    for name in "abc":
        write_model(tmp_path, name, 1, weights="x" * 40)
    world = Small(tmp_path)
    await world.store.refresh()
    assert world.ready() == {(name, "1") for name in "abc"}
    assert world.store.peek("a", "1") is None
    assert world.loaded == [("a", 1), ("b", 1), ("c", 1), ("c", 1)]
    world.store.get("b", "1")
    await world.ask("a")
    assert world.store.peek("c", "1") is None
    assert world.free[GPU] == 20


async def test_many_that_ask_for_more_than_the_gpu_holds_are_all_answered(tmp_path: Path) -> None:
    for name in "abcde":
        write_model(tmp_path, name, 1, spec=LAZY.format(name), weights="x" * 40)
    world = Small(tmp_path)
    await world.store.refresh()
    answers = await asyncio.gather(*(world.ask(name) for name in "abcdeabcde"))
    assert {servable.weights for servable in answers} == {"x" * 40}
    assert world.free[GPU] >= 0


async def test_a_model_that_does_not_fit_says_by_how_much_and_is_tried_again_once_another_left(
    tmp_path: Path,
) -> None:
    write_model(tmp_path, "a", 1, spec=PINNED.format("a"), weights="x" * 60)
    write_model(tmp_path, "b", 1, weights="x" * 60)
    world = Small(tmp_path)
    await world.store.refresh()
    assert world.states()[("b", "1")] == (State.UNAVAILABLE, f"lacks 20 bytes on {GPU}")
    tries = world.loaded.count(("b", 1))
    await world.store.refresh()
    assert world.loaded.count(("b", 1)) == tries  # a load is dear, and nothing has changed
    shutil.rmtree(tmp_path / "a")
    await world.store.refresh()
    world.now = LINGER
    await world.store.refresh()
    await world.store.refresh()  # there is room now
    assert world.states() == {("b", "1"): (State.READY, "")}


async def test_a_lazy_model_that_finds_no_room_says_so_and_is_tried_again_by_the_next_request(
    tmp_path: Path,
) -> None:
    write_model(tmp_path, "a", 1, spec=PINNED.format("a"), weights="x" * 60)
    write_model(tmp_path, "b", 1, spec=LAZY.format("b"), weights="x" * 60)
    world = Small(tmp_path)
    async with watched(world):
        with pytest.raises(TriremeError, match="lacks 20 bytes") as refused:
            await world.ask("b")
        assert refused.value.code is Code.MODEL_NOT_READY
        assert world.states()[("b", "1")] == (State.READY, f"lacks 20 bytes on {GPU}")
        world.store.obey([Order(1, "a", unloaded=True)])
        await until(lambda: world.states()[("a", "1")][0] is State.UNLOADING)
        world.now = LINGER
        await world.store.refresh()
        assert (await world.ask("b")).weights == "x" * 60
        assert world.states()[("b", "1")] == (State.READY, "")


async def test_a_new_version_does_not_push_out_the_one_before_it(tmp_path: Path) -> None:
    write_model(tmp_path, "a", 1, weights="x" * 60)
    world = Small(tmp_path)
    await world.store.refresh()
    world.weights("a", 2, "y" * 60)
    await world.store.refresh()
    assert world.ready() == {("a", "1")}
    assert world.states()[("a", "2")] == (State.UNAVAILABLE, f"lacks 20 bytes on {GPU}")


async def test_requests_for_a_model_that_finds_no_room_do_not_load_it_each(tmp_path: Path) -> None:
    write_model(tmp_path, "a", 1, spec=PINNED.format("a"), weights="x" * 60)
    write_model(tmp_path, "b", 1, spec=LAZY.format("b"), weights="x" * 60)
    world = Small(tmp_path)
    await world.store.refresh()
    for tries in (1, 2):
        for _ in range(3):
            with pytest.raises(TriremeError, match="model 'b', version 1: lacks 20 bytes") as refused:
                await world.ask("b")
            assert refused.value.code is Code.MODEL_NOT_READY
        assert world.loaded.count(("b", 1)) == tries
        world.now = FIRST_PAUSE_SECONDS


async def test_an_order_tries_a_model_that_found_no_room(tmp_path: Path) -> None:
    write_model(tmp_path, "a", 1, spec=PINNED.format("a"), weights="x" * 60)
    write_model(tmp_path, "b", 1, spec=LAZY.format("b"), weights="x" * 60)
    world = Small(tmp_path)
    async with watched(world):
        with pytest.raises(TriremeError, match="lacks 20 bytes"):
            await world.ask("b")
        world.free[GPU] = 60  # another process has left the device
        world.store.obey([Order(1, "b")])
        await until(lambda: "b" in world.orders())
        assert world.store.get("b", "1").weights == "x" * 60


async def test_a_model_for_which_others_left_in_vain_leaves_them_in_peace(tmp_path: Path) -> None:
    write_model(tmp_path, "b", 1, weights="x" * 60)
    world = Greedy(tmp_path)
    await world.store.refresh()
    write_model(tmp_path, "a", 1)
    await world.store.refresh()
    assert world.store.peek("b", "1") is None
    world.weights("b", 1, "y" * 60)
    for _ in range(3):
        await world.store.refresh()
    assert world.store.get("b", "1").weights == "y" * 60
    assert world.loaded.count(("a", 1)) == 2
    world.now = FIRST_PAUSE_SECONDS
    await world.store.refresh()
    assert world.loaded.count(("a", 1)) == 4

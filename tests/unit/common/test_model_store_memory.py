"""Lazy versions and a memory that is too small for all."""

from __future__ import annotations

import asyncio
import shutil
import threading
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.support.model_stores import LINGER, FakeServable, World, until, watched
from tests.support.repositories import write_model
from trireme_common.errors import Code, SpecError, TriremeError
from trireme_common.memory import MemoryBudget
from trireme_common.orders import Order
from trireme_common.repository import VersionFiles
from trireme_common.stage_state import ModelDescriptor, State

LAZY = "name: {}\nmemory: {{lazy: true}}\n"
PINNED = "name: {}\nmemory: {{pinned: true}}\n"


def preview(files: VersionFiles) -> ModelDescriptor | None:
    if (files.directory / "model.onnx").read_text() == "opaque":
        return None
    if (files.directory / "broken").exists():
        raise SpecError("its digest is wrong")
    return ModelDescriptor(task=files.spec.task, digest="previewed")


class Recorder:
    """MemoryObserver that keeps what it hears."""

    def __init__(self) -> None:
        self.loads: list[str] = []
        self.evictions: list[str] = []
        self.held: tuple[Mapping[str, int], int | None] = ({}, None)

    def loaded(self, model: str, version: str, seconds: float) -> None:
        self.loads.append(f"{model}/{version}")

    def evicted(self, model: str, version: str) -> None:
        self.evictions.append(f"{model}/{version}")

    def holds(self, sizes: Mapping[str, int], limit: int | None) -> None:
        self.held = (dict(sizes), limit)


class Small(World):
    """A world whose models may take `limit` bytes; a weights file has as many bytes as it has letters."""

    def __init__(self, root: Path, limit: int | None) -> None:
        self.moments = 0.0
        self.heard = Recorder()
        budget = MemoryBudget(limit, self.moment)
        super().__init__(root, preview=preview, budget=budget, observer=self.heard)

    def moment(self) -> float:
        self.moments += 1
        return self.moments

    async def ask(self, name: str, version: str = "1") -> FakeServable:
        async with asyncio.timeout(10):
            return await self.store.acquire(name, version)


@pytest.fixture
def lazy(tmp_path: Path) -> Small:
    write_model(tmp_path, "m", 1, spec=LAZY.format("m"))
    return Small(tmp_path, None)


async def test_a_lazy_version_is_ready_before_it_is_loaded_and_loaded_once_for_all(lazy: Small) -> None:
    await lazy.store.refresh()
    assert lazy.states() == {("m", "1"): (State.READY, "")}
    assert lazy.store.state.models[0].descriptor == ModelDescriptor(task="tensor", digest="previewed")
    assert lazy.loaded == []
    assert lazy.store.peek("m", "1") is None
    lazy.gate = threading.Event()
    asking = [asyncio.create_task(lazy.ask("m")) for _ in range(5)]
    await until(lambda: lazy.loaded == [("m", 1)])
    asking[0].cancel()  # whoever leaves takes nothing from the others
    lazy.gate.set()
    found = await asyncio.gather(*asking[1:])
    assert len({id(servable) for servable in found}) == 1
    assert lazy.store.get("m", "1") is found[0]
    assert lazy.store.state.models[0].descriptor == found[0].descriptor
    assert lazy.loaded == [("m", 1)]


async def test_a_version_that_would_displace_another_is_loaded_and_checked_first(lazy: Small) -> None:
    await lazy.store.refresh()
    lazy.weights("m", 2, "bad")
    await lazy.store.refresh()
    assert lazy.ready() == {("m", "1")}
    assert lazy.states()[("m", "2")] == (State.UNAVAILABLE, "the file is bad")
    lazy.weights("m", 3, "good")
    await lazy.store.refresh()
    assert lazy.ready() == {("m", "3")}
    assert lazy.store.get("m", "3").weights == "good"
    assert (await lazy.ask("m", "1")).weights == "w"  # it lingers, and a request may still be bound to it


async def test_a_lazy_version_that_fails_gives_way_to_an_older_one(tmp_path: Path) -> None:
    write_model(tmp_path, "m", 1, spec=LAZY.format("m"))
    lazy = Small(tmp_path, None)
    lazy.weights("m", 2, "bad")
    async with watched(lazy):
        assert lazy.ready() == {("m", "2")}
        with pytest.raises(TriremeError) as refused:
            await lazy.ask("m", "2")
        assert refused.value.code is Code.MODEL_NOT_READY
        await until(lambda: lazy.ready() == {("m", "1")})
        assert lazy.states()[("m", "2")] == (State.UNAVAILABLE, "the file is bad")
        assert (await lazy.ask("m", "1")).weights == "w"


async def test_what_cannot_be_described_is_loaded_and_what_cannot_be_trusted_is_refused(
    tmp_path: Path,
) -> None:
    write_model(tmp_path, "opaque", 1, spec=LAZY.format("opaque"), weights="opaque")
    write_model(tmp_path, "broken", 1, spec=LAZY.format("broken"))
    (tmp_path / "broken" / "1" / "broken").touch()
    world = Small(tmp_path, None)
    await world.store.refresh()
    assert world.loaded == [("opaque", 1)]
    assert world.states()[("broken", "1")] == (State.UNAVAILABLE, "its digest is wrong")


async def test_an_order_to_load_loads_what_is_lazy(lazy: Small) -> None:
    async with watched(lazy):
        assert lazy.loaded == []
        lazy.store.obey([Order(1, "m")])
        await until(lambda: bool(lazy.orders()))
        assert lazy.loaded == [("m", 1)]


async def test_who_was_used_least_recently_leaves_and_comes_back_when_asked(tmp_path: Path) -> None:
    for name in "abc":
        write_model(tmp_path, name, 1, weights="x" * 40)
    world = Small(tmp_path, 100)
    await world.store.refresh()
    assert world.heard.evictions == ["a/1"]
    assert world.ready() == {("a", "1"), ("b", "1"), ("c", "1")}
    assert world.heard.held == ({"cpu": 80}, 100)
    gone = world.store.get("b", "1")
    world.store.get("c", "1")
    await world.ask("a")
    assert gone.closed == 1
    assert world.heard.evictions == ["a/1", "b/1"]
    assert world.heard.loads == ["a/1", "b/1", "c/1", "a/1"]
    await world.store.refresh()  # nobody asked for it, so it stays away
    assert world.heard.loads == ["a/1", "b/1", "c/1", "a/1"]
    assert world.ready() == {("a", "1"), ("b", "1"), ("c", "1")}


async def test_who_is_pinned_stays_and_who_does_not_fit_says_by_how_much(tmp_path: Path) -> None:
    write_model(tmp_path, "a", 1, spec=PINNED.format("a"), weights="x" * 60)
    write_model(tmp_path, "b", 1, weights="x" * 60)
    world = Small(tmp_path, 100)
    await world.store.refresh()
    state, reason = world.states()[("b", "1")]
    assert state is State.UNAVAILABLE
    assert "it needs about 60 bytes, 20 bytes more than" in reason
    await world.store.refresh()
    assert world.ready() == {("a", "1")}
    shutil.rmtree(tmp_path / "a")
    await world.store.refresh()
    world.now = LINGER
    await world.store.refresh()
    await world.store.refresh()  # there is room now
    assert world.states() == {("b", "1"): (State.READY, "")}


async def test_a_new_version_does_not_push_out_the_one_that_it_may_not_be_fit_to_follow(
    tmp_path: Path,
) -> None:
    write_model(tmp_path, "a", 1, weights="x" * 60)
    world = Small(tmp_path, 100)
    await world.store.refresh()
    world.weights("a", 2, "y" * 60)
    await world.store.refresh()
    assert world.ready() == {("a", "1")}
    assert world.heard.evictions == []
    assert "20 bytes more" in world.states()[("a", "2")][1]


async def test_who_asks_while_there_is_no_room_waits_for_the_load_that_takes_it(tmp_path: Path) -> None:
    for name in "ab":
        write_model(tmp_path, name, 1, weights="x" * 60)
    world = Small(tmp_path, 100)
    await world.store.refresh()
    assert world.store.peek("a", "1") is None
    world.gate = threading.Event()
    first = asyncio.create_task(world.ask("a"))
    await until(lambda: world.loaded.count(("a", 1)) == 2)
    second = asyncio.create_task(world.ask("b"))
    await asyncio.sleep(0.01)
    world.gate.set()
    assert (await first).weights == (await second).weights == "x" * 60
    assert world.heard.evictions[-1] == "a/1"


async def test_a_version_that_changes_or_goes_while_it_is_loaded_for_a_request_is_not_served(
    tmp_path: Path,
) -> None:
    write_model(tmp_path, "m", 1, spec=LAZY.format("m"))
    world = Small(tmp_path, None)
    await world.store.refresh()
    world.gate = threading.Event()
    asking = asyncio.create_task(world.ask("m"))
    await until(lambda: world.loaded == [("m", 1)])
    world.store.obey([Order(1, "m", unloaded=True)])
    world.now = 1
    gate, world.gate = world.gate, None
    await world.store.refresh()
    world.now = 100
    await world.store.refresh()
    assert world.states() == {}
    gate.set()
    with pytest.raises(TriremeError) as refused:
        await asking
    assert refused.value.code is Code.MODEL_NOT_FOUND
    await world.store.close()


class Swelling(Small):
    """A world whose models hold, once they are loaded, ten times what their files say."""

    def load(self, files: VersionFiles) -> FakeServable:
        servable = super().load(files)
        servable.held = {"cpu": 10 * len(servable.weights)}
        return servable


async def test_what_a_model_was_found_to_hold_counts(tmp_path: Path) -> None:
    write_model(tmp_path, "m", 1, weights="x" * 10)
    world = Swelling(tmp_path, 1000)
    await world.store.refresh()
    assert world.heard.held == ({"cpu": 100}, 1000)
    await world.store.close()
    assert world.heard.held == ({"cpu": 0}, 1000)


async def test_loads_that_overlapped_and_hold_too_much_leave_again(tmp_path: Path) -> None:
    for name in "abc":
        write_model(tmp_path, name, 1, spec=LAZY.format(name), weights="x" * 10)
    world = Swelling(tmp_path, 250)
    await world.store.refresh()
    world.gate = threading.Event()
    asking = [asyncio.create_task(world.ask(name)) for name in "abc"]
    await until(lambda: len(world.loaded) == 3)  # each was let in by the size of its files
    world.gate.set()
    await asyncio.gather(*asking)
    await until(lambda: world.heard.held == ({"cpu": 200}, 250))
    assert len(world.heard.evictions) == 1
    assert world.ready() == {(name, "1") for name in "abc"}
    for name in "abc":
        assert (await world.ask(name)).weights == "x" * 10


async def test_a_model_that_holds_more_than_there_is_stays_alone(tmp_path: Path) -> None:
    write_model(tmp_path, "a", 1, weights="x" * 10)
    write_model(tmp_path, "b", 1, weights="x" * 50)
    world = Swelling(tmp_path, 250)
    await world.store.refresh()
    await until(lambda: world.heard.held == ({"cpu": 500}, 250))
    assert world.heard.evictions == ["a/1"]
    await world.ask("a")
    assert world.heard.evictions == ["a/1", "b/1"]


async def test_files_that_changed_replace_a_servable_that_others_may_have_pushed_out(tmp_path: Path) -> None:
    write_model(tmp_path, "a", 1, weights="x" * 40)
    write_model(tmp_path, "b", 1, spec=LAZY.format("b"), weights="x" * 40)
    world = Small(tmp_path, 100)
    await world.store.refresh()
    old = world.store.get("a", "1")
    world.weights("a", 1, "y" * 40)
    await world.store.refresh()
    await world.ask("b")  # the old one, used least recently, leaves before its time
    assert old.closed == 1
    assert world.store.get("a", "1").weights == "y" * 40
    world.now = LINGER
    await world.store.refresh()
    assert old.closed == 1
    assert world.store.get("a", "1").closed == 0


async def test_what_cannot_be_had_again_because_its_files_went_bad_is_not_pushed_out(tmp_path: Path) -> None:
    write_model(tmp_path, "a", 1, weights="x" * 40)
    write_model(tmp_path, "b", 1, spec=LAZY.format("b"), weights="y" * 70)
    world = Small(tmp_path, 100)
    await world.store.refresh()
    golden = tmp_path / "a" / "golden.json"
    golden.write_text("another answer")
    await world.store.refresh()
    assert world.states()[("a", "1")] == (State.READY, "not the golden answer")
    with pytest.raises(TriremeError, match="does not fit into memory"):
        await world.ask("b")
    assert world.store.get("a", "1").weights == "x" * 40
    golden.unlink()
    await world.store.refresh()
    world.now = LINGER
    await world.store.refresh()
    await world.ask("b")
    assert world.store.peek("a", "1") is None
    assert (await world.ask("a")).weights == "x" * 40


async def test_what_found_no_room_beside_what_it_replaces_is_loaded_once_when_it_is_asked_for(
    tmp_path: Path,
) -> None:
    write_model(tmp_path, "a", 1, weights="x" * 40)
    write_model(tmp_path, "b", 1, spec=LAZY.format("b"), weights="y" * 40)
    world = Small(tmp_path, 70)
    await world.store.refresh()
    (tmp_path / "a" / "1" / "README.md").write_text("harmless")
    await world.store.refresh()
    assert "does not fit" in world.states()[("a", "1")][1]
    await world.ask("b")
    await world.ask("a")
    loaded = list(world.loaded)
    await world.store.refresh()
    assert world.states()[("a", "1")] == (State.READY, "")
    assert world.loaded == loaded

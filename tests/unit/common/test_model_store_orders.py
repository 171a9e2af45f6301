"""A store under orders: what is put back, unloaded and lifted, at once and through restarts."""

from __future__ import annotations

import asyncio
import shutil
import threading
import time
from pathlib import Path

import pytest

from tests.support.model_stores import LINGER, World, until, watched
from tests.support.repositories import change, write_model
from trireme_common.errors import MachineError
from trireme_common.orders import Order
from trireme_common.stage_state import State
from trireme_common.version_policy import every_version

SOON = time.time_ns() // 1000 + 3600_000_000  # too new to be outlived, however long the suite runs
BACK = Order(10, "m", version="1")
OFF = Order(20, "m", unloaded=True)
LIFTED = Order(30, "m")


@pytest.fixture
def world(tmp_path: Path) -> World:
    write_model(tmp_path, "m", 1, 2)
    return World(tmp_path)


async def test_an_older_version_comes_back_at_once_and_stays_whatever_comes(world: World) -> None:
    async with watched(world):
        assert world.ready() == {("m", "2")}
        world.store.obey([BACK])
        await until(lambda: world.orders() == {"m": BACK})
        assert world.ready() == {("m", "1")}
        assert world.states()[("m", "2")] == (State.UNLOADING, "")  # requests that were given it are answered
        world.weights("m", 3, "newer")
        await world.store.refresh()
        assert world.ready() == {("m", "1")}
    world.open()
    await world.store.refresh()
    assert world.ready() == {("m", "1")}
    assert world.orders() == {"m": BACK}
    assert world.loaded == [("m", 2), ("m", 1), ("m", 1)]  # after the restart nothing newer, not even first


async def test_what_lingers_is_put_back_without_being_loaded(world: World) -> None:
    async with watched(world):
        world.weights("m", 3, "newer")
        await world.store.refresh()
        world.store.obey([Order(10, "m", version="2")])
        await until(lambda: bool(world.orders()))
        assert world.ready() == {("m", "2")}
        assert world.loaded == [("m", 2), ("m", 3)]


async def test_an_order_is_lifted_by_a_newer_one_alone(world: World) -> None:
    async with watched(world):
        world.store.obey([OFF])
        await until(lambda: world.orders() == {"m": OFF})
        assert world.ready() == set()
        world.store.obey([BACK])
        world.store.obey([LIFTED])
        await until(lambda: world.orders() == {"m": LIFTED})
        assert world.ready() == {("m", "2")}


async def test_an_unloaded_model_leaves_memory_and_stays_away(world: World) -> None:
    async with watched(world):
        servable = world.store.get("m", "2")
        world.store.obey([OFF])
        await until(lambda: bool(world.orders()))
        world.now = LINGER
        await world.store.refresh()
        assert servable.closed == 1
        assert world.states() == {}
    world.open()
    await world.store.refresh()
    assert world.states() == {}
    assert world.loaded == [("m", 2)]


async def test_a_stage_whose_versions_cost_little_keeps_them(tmp_path: Path) -> None:
    write_model(tmp_path, "m", 1, 2)
    world = World(tmp_path, policy=every_version)
    async with watched(world):
        world.store.obey([OFF])
        await until(lambda: world.orders() == {"m": OFF})
        assert world.ready() == {("m", "1"), ("m", "2")}


async def test_a_version_that_cannot_be_put_back_leaves_the_one_that_serves(world: World) -> None:
    world.weights("m", 1, "bad")
    async with watched(world):
        world.store.obey([BACK])
        await until(lambda: bool(world.orders()))
        assert world.ready() == {("m", "2")}
        assert world.states()[("m", "1")] == (State.UNAVAILABLE, "the file is bad")


async def test_a_version_that_was_put_back_and_leaves_the_disk_gives_way(world: World) -> None:
    async with watched(world):
        world.store.obey([BACK])
        await until(lambda: bool(world.orders()))
        shutil.rmtree(world.root / "m" / "1")
        await world.store.refresh()
        assert world.ready() == {("m", "2")}


async def test_loading_tries_again_what_had_failed_and_finds_what_is_new(world: World) -> None:
    world.weights("m", 2, "bad")
    async with watched(world):
        assert world.loaded == [("m", 2), ("m", 1)]
        world.store.obey([LIFTED])
        await until(lambda: bool(world.orders()))
        assert world.loaded == [("m", 2), ("m", 1), ("m", 2)]
        write_model(world.root, "new", 1)
        world.store.obey([Order(SOON, "new")])
        await until(lambda: "new" in world.orders())
        assert world.ready() == {("m", "1"), ("new", "1")}


async def test_loading_tries_again_changed_files_that_had_failed(world: World) -> None:
    async with watched(world):
        world.trouble = MachineError("no process for the model")
        (world.root / "m" / "2" / "README.md").write_text("harmless")
        await world.store.refresh()
        assert world.states() == {("m", "2"): (State.READY, "no process for the model")}
        world.trouble = None
        world.store.obey([LIFTED])
        await until(lambda: bool(world.orders()))
        assert world.states() == {("m", "2"): (State.READY, "")}


async def test_an_order_waits_for_no_other_model(world: World) -> None:
    async with watched(world):
        world.gate = threading.Event()
        write_model(world.root, "slow", 1)
        world.store.obey([Order(SOON, "slow")])
        await until(lambda: ("slow", 1) in world.loaded)
        world.store.obey([Order(1, "m", unloaded=True)])
        await until(lambda: "m" in world.orders())
        assert "slow" not in world.orders()
        world.gate.set()
        await until(lambda: "slow" in world.orders())


async def test_an_order_for_a_model_that_is_nowhere_is_carried_out_in_its_way(world: World) -> None:
    async with watched(world):
        world.store.obey([Order(1, "nobody", unloaded=True)])
        await until(lambda: "nobody" in world.orders())
        assert world.ready() == {("m", "2")}


async def test_a_model_whose_spec_broke_is_unloaded_all_the_same(world: World) -> None:
    async with watched(world):
        change(world.root / "m" / "model.yaml", "name: [\n")
        world.store.obey([OFF])
        await until(lambda: bool(world.orders()))
        assert world.ready() == set()


async def test_orders_are_kept_where_the_state_belongs_and_shared_there(world: World, tmp_path: Path) -> None:
    state = tmp_path / ".state"
    state.mkdir()
    one, other = World(world.root, state_dir=state), World(world.root, state_dir=state)
    async with watched(one):
        one.store.obey([BACK])
        await until(lambda: bool(one.orders()))
    await other.store.refresh()
    assert other.ready() == {("m", "1")}
    await world.store.refresh()
    assert world.ready() == {("m", "2")}


async def test_orders_go_on_when_the_repository_cannot_be_read_for_a_while(world: World) -> None:
    async with watched(world):
        away = world.root.with_name("away")
        world.root.rename(away)
        world.store.obey([BACK])
        await until(lambda: not world.root.exists())
        away.rename(world.root)
        world.store.obey([Order(11, "m", version="1")])
        await until(lambda: bool(world.orders()))
        assert world.ready() == {("m", "1")}


async def test_an_order_is_not_carried_out_by_a_look_that_was_before_it(world: World) -> None:
    async with watched(world):
        world.gate = threading.Event()
        for revision, newest in ((30, 3), (40, 4), (50, 5)):
            world.weights("m", newest, str(newest))
            world.store.obey([Order(revision, "m")])
            # The first is loading; the second has looked and waits for it; the third is not to be its.
            await until(lambda: ("m", 3) in world.loaded)
            await asyncio.sleep(0.1)
        world.gate.set()
        await until(lambda: world.orders() == {"m": Order(50, "m")})
        assert world.ready() == {("m", "5")}

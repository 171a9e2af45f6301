from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from tests.support.model_stores import LINGER, World
from tests.support.repositories import change, write_model
from trireme_common.errors import Code, MachineError, TriremeError
from trireme_common.stage_state import StageState, State
from trireme_common.stage_stream import cancel_and_wait
from trireme_common.version_policy import every_version

GOLDEN = "not the golden answer"


@pytest.fixture
def world(tmp_path: Path) -> World:
    write_model(tmp_path, "m", 1)
    return World(tmp_path)


async def test_what_stands_there_is_loaded_and_served(world: World) -> None:
    await world.store.refresh()
    assert world.states() == {("m", "1"): (State.READY, "")}
    assert world.store.get("m", "1").weights == "w"
    assert [servable.weights for servable in world.store.servables()] == ["w"]
    await world.store.refresh()
    assert world.loaded == [("m", 1)]


async def test_what_is_not_served_is_said_with_its_kind(world: World) -> None:
    for name, version, code in (("m", "1", Code.MODEL_NOT_FOUND), ("x", "1", Code.MODEL_NOT_FOUND)):
        with pytest.raises(TriremeError) as refused:
            world.store.get(name, version)
        assert refused.value.code is code
    world.weights("m", 1, "bad")
    await world.store.refresh()
    with pytest.raises(TriremeError) as refused:
        world.store.get("m", "1")
    assert refused.value.code is Code.MODEL_NOT_READY
    write_model(world.root, "n", 1)
    await world.store.refresh()
    with pytest.raises(TriremeError) as refused:
        world.store.get("n", "2")
    assert refused.value.code is Code.MODEL_NOT_FOUND


async def test_a_new_version_displaces_the_old_which_lingers_and_is_closed(world: World) -> None:
    await world.store.refresh()
    old = world.store.get("m", "1")
    world.weights("m", 2, "new")
    await world.store.refresh()
    assert world.states() == {("m", "1"): (State.UNLOADING, ""), ("m", "2"): (State.READY, "")}
    assert world.store.get("m", "1") is old
    world.now = LINGER - 1
    await world.store.refresh()
    assert world.store.get("m", "1") is old
    assert not old.closed
    world.now = LINGER
    await world.store.refresh()
    assert world.states() == {("m", "2"): (State.READY, "")}
    assert old.closed == 1
    with pytest.raises(TriremeError):
        world.store.get("m", "1")
    await world.store.refresh()
    assert world.loaded == [("m", 1), ("m", 2)]


@pytest.mark.parametrize(
    ("weights", "reason"), [("bad", "the file is bad"), ("odd", "ZeroDivisionError: odd")]
)
async def test_a_bad_new_version_never_displaces_a_good_one(world: World, weights: str, reason: str) -> None:
    await world.store.refresh()
    world.weights("m", 2, weights)
    for _ in range(3):
        await world.store.refresh()
        assert world.states() == {("m", "1"): (State.READY, ""), ("m", "2"): (State.UNAVAILABLE, reason)}
    assert world.loaded == [("m", 1), ("m", 2)]  # the same bad files are not tried again
    world.weights("m", 2, "mended")
    await world.store.refresh()
    assert world.ready() == {("m", "2")}


async def test_the_next_best_version_serves_where_the_newest_is_bad_from_the_start(world: World) -> None:
    world.weights("m", 2, "bad")
    await world.store.refresh()
    assert world.ready() == {("m", "1")}


async def test_changed_files_reload_and_the_old_servable_serves_until_then(world: World) -> None:
    await world.store.refresh()
    old = world.store.get("m", "1")
    world.weights("m", 1, "changed")
    await world.store.refresh()
    assert world.store.get("m", "1").weights == "changed"
    assert not old.closed
    world.now = LINGER
    await world.store.refresh()
    assert old.closed == 1
    assert world.ready() == {("m", "1")}
    assert world.store.get("m", "1").weights == "changed"


async def test_changed_files_that_are_bad_keep_what_serves_and_say_why(world: World) -> None:
    await world.store.refresh()
    world.weights("m", 1, "bad")
    await world.store.refresh()
    assert world.states() == {("m", "1"): (State.READY, "the file is bad")}
    assert world.store.get("m", "1").weights == "w"


async def test_a_version_that_was_loaded_half_gives_way_once_it_is_whole_and_bad(world: World) -> None:
    world.weights("m", 2, "new")
    await world.store.refresh()
    (world.root / "m" / "2" / "golden.json").write_text("another answer")
    await world.store.refresh()
    assert world.states() == {("m", "1"): (State.READY, ""), ("m", "2"): (State.UNLOADING, GOLDEN)}
    world.now = LINGER
    for _ in range(3):
        await world.store.refresh()
        world.now += LINGER
    assert world.states() == {("m", "1"): (State.READY, ""), ("m", "2"): (State.UNAVAILABLE, GOLDEN)}
    assert world.loaded == [("m", 2), ("m", 2), ("m", 1), ("m", 2)]
    (world.root / "m" / "2" / "golden.json").unlink()
    await world.store.refresh()
    assert world.ready() == {("m", "2")}


async def test_what_serves_and_is_known_to_be_bad_goes_on_where_nothing_else_is_good(world: World) -> None:
    world.weights("m", 1, "bad")
    world.weights("m", 2, "new")
    await world.store.refresh()
    (world.root / "m" / "2" / "golden.json").write_text("another answer")
    for _ in range(2):
        await world.store.refresh()
        assert world.ready() == {("m", "2")}
        assert world.states()[("m", "2")] == (State.READY, GOLDEN)
        world.now += LINGER


async def test_what_serves_is_not_known_to_be_bad_where_other_weights_are(world: World) -> None:
    world.weights("m", 2, "new")
    await world.store.refresh()
    world.weights("m", 2, "bad")
    await world.store.refresh()
    assert world.states() == {("m", "2"): (State.READY, "the file is bad")}


async def test_what_serves_is_not_known_to_be_bad_where_only_this_machine_failed(world: World) -> None:
    world.weights("m", 2, "new")
    await world.store.refresh()
    world.trouble = MachineError("no process for the model")
    (world.root / "m" / "2" / "README.md").write_text("harmless")
    for _ in range(2):
        await world.store.refresh()
        assert world.states() == {("m", "2"): (State.READY, "no process for the model")}


async def test_a_broken_model_yaml_keeps_what_serves(world: World) -> None:
    await world.store.refresh()
    change(world.root / "m" / "model.yaml", "name: m\nwhat: 1\n")
    world.now = 100
    for _ in range(2):
        await world.store.refresh()
        assert world.store.get("m", "1").weights == "w"
        assert world.states()[("m", "1")] == (State.READY, "")
        state, reason = world.states()[("m", "")]
        assert state is State.UNAVAILABLE
        assert "unknown key" in reason
    change(world.root / "m" / "model.yaml", "name: m\n")
    await world.store.refresh()
    assert world.states() == {("m", "1"): (State.READY, "")}


async def test_a_policy_that_names_no_version_of_the_disk_keeps_what_serves(world: World) -> None:
    await world.store.refresh()
    change(world.root / "m" / "model.yaml", "name: m\nversions: {policy: specific, list: [9]}\n")
    world.now = 100
    for _ in range(2):
        await world.store.refresh()
        assert world.store.get("m", "1").weights == "w"
    state, reason = world.states()[("m", "")]
    assert state is State.UNAVAILABLE
    assert "names 9; there are only 1" in reason


async def test_a_broken_model_yaml_from_the_start_leaves_the_other_models(world: World) -> None:
    write_model(world.root, "broken", 1, spec="name: [\n")
    await world.store.refresh()
    assert world.ready() == {("m", "1")}
    assert world.states()[("broken", "")][0] is State.UNAVAILABLE


async def test_a_removed_version_lingers_and_is_closed_and_the_older_one_comes_back(world: World) -> None:
    world.weights("m", 2, "new")
    await world.store.refresh()
    assert world.ready() == {("m", "2")}
    new = world.store.get("m", "2")
    shutil.rmtree(world.root / "m" / "2")
    await world.store.refresh()
    assert world.ready() == {("m", "1")}
    assert world.store.get("m", "2") is new
    world.now = LINGER
    await world.store.refresh()
    assert new.closed == 1
    assert world.states() == {("m", "1"): (State.READY, "")}


async def test_a_removed_model_lingers_and_is_forgotten(world: World) -> None:
    await world.store.refresh()
    servable = world.store.get("m", "1")
    shutil.rmtree(world.root / "m")
    await world.store.refresh()
    assert world.states() == {("m", "1"): (State.UNLOADING, "")}
    world.now = LINGER
    await world.store.refresh()
    assert world.states() == {}
    assert servable.closed == 1


async def test_a_displaced_version_that_is_wanted_again_is_revived(world: World) -> None:
    await world.store.refresh()
    first = world.store.get("m", "1")
    world.weights("m", 2, "new")
    await world.store.refresh()
    shutil.rmtree(world.root / "m" / "2")
    await world.store.refresh()
    world.now = LINGER * 2
    await world.store.refresh()
    assert world.store.get("m", "1") is first
    assert not first.closed
    assert world.loaded == [("m", 1), ("m", 2)]


@pytest.mark.parametrize(("weights", "serving"), [("changed", "changed"), ("bad", "w")])
async def test_a_displaced_version_that_comes_back_changed_stays(
    world: World, weights: str, serving: str
) -> None:
    await world.store.refresh()
    first = world.store.get("m", "1")
    world.weights("m", 2, "new")
    await world.store.refresh()
    shutil.rmtree(world.root / "m" / "2")
    world.weights("m", 1, weights)
    await world.store.refresh()
    assert world.ready() == {("m", "1")}
    world.now = LINGER * 2
    await world.store.refresh()
    await world.store.refresh()
    assert world.store.get("m", "1").weights == serving
    assert world.ready() == {("m", "1")}
    assert first.closed == (1 if serving == "changed" else 0)


async def test_files_that_are_still_being_copied_are_left_alone(world: World) -> None:
    await world.store.refresh()
    for text in ("half", "whole"):
        world.weights("m", 2, text)
        await world.store.refresh(settled_only=True)
        assert world.loaded == [("m", 1)]
        assert world.ready() == {("m", "1")}
    await world.store.refresh(settled_only=True)
    assert world.store.get("m", "2").weights == "whole"
    world.weights("m", 2, "changing")
    await world.store.refresh(settled_only=True)
    assert world.store.get("m", "2").weights == "whole"
    await world.store.refresh(settled_only=True)
    assert world.store.get("m", "2").weights == "changing"


@pytest.mark.parametrize(
    ("versions", "expected"),
    [
        ("{policy: latest, count: 2}", {("m", "2"), ("m", "3")}),
        ("{policy: all}", {("m", "1"), ("m", "2"), ("m", "3")}),
        ("{policy: specific, list: [1, 3, 7]}", {("m", "1"), ("m", "3")}),
    ],
)
async def test_the_policy_says_which_versions_are_ready(
    tmp_path: Path, versions: str, expected: set[tuple[str, str]]
) -> None:
    write_model(tmp_path, "m", 1, 2, 3, spec=f"name: m\nversions: {versions}\n")
    world = World(tmp_path)
    await world.store.refresh()
    assert world.ready() == expected


async def test_a_light_stage_keeps_every_version(tmp_path: Path) -> None:
    write_model(tmp_path, "m", 1, 2, 3)
    world = World(tmp_path, policy=every_version)
    await world.store.refresh()
    assert len(world.ready()) == 3


async def test_listeners_hear_of_loading_first_and_of_nothing_twice(world: World) -> None:
    heard: list[StageState] = []
    unsubscribe = world.store.subscribe(heard.append)
    await world.store.refresh()
    assert [state.models[0].state for state in heard] == [State.LOADING, State.READY]
    await world.store.refresh()
    assert len(heard) == 2
    world.store.drain()
    assert heard[-1].draining
    world.weights("m", 2, "new")
    await world.store.refresh()
    assert heard[-1].draining  # and so for good
    unsubscribe()
    world.weights("m", 3, "newer")
    count = len(heard)
    await world.store.refresh()
    assert len(heard) == count


async def test_gateways_hear_that_a_version_is_gone_before_it_is_closed(world: World) -> None:
    await world.store.refresh()
    old = world.store.get("m", "1")
    world.weights("m", 2, "new")
    await world.store.refresh()
    closed_when_heard: list[int] = []
    world.store.subscribe(lambda _: closed_when_heard.append(old.closed))
    world.now = LINGER
    await world.store.refresh()
    assert closed_when_heard == [0]
    assert old.closed == 1


async def test_what_a_spec_asks_in_vain_is_the_reason_of_the_ready_version(world: World) -> None:
    world.weights("m", 1, "noted")
    await world.store.refresh()
    assert world.states() == {("m", "1"): (State.READY, "slower than it could be")}


async def test_a_servable_that_cannot_be_freed_does_not_stop_the_others(world: World) -> None:
    world.weights("m", 1, "sticky")
    await world.store.refresh()
    world.weights("m", 2, "new")
    await world.store.refresh()
    world.now = LINGER
    await world.store.refresh()
    assert world.states() == {("m", "2"): (State.READY, "")}
    await world.store.close()


async def test_close_frees_everything_once(world: World) -> None:
    await world.store.refresh()
    first = world.store.get("m", "1")
    world.weights("m", 2, "new")
    await world.store.refresh()
    second = world.store.get("m", "2")
    await world.store.close()
    assert (first.closed, second.closed) == (1, 1)


async def test_the_watch_outlives_a_repository_that_goes_away(tmp_path: Path) -> None:
    root = tmp_path / "models"
    write_model(root, "m", 1)
    world = World(root)
    watch = asyncio.create_task(world.store.watch(0.005))
    async with asyncio.timeout(10):
        await world.store.loaded_once.wait()
        assert world.ready() == {("m", "1")}
        root.rename(tmp_path / "away")
        await asyncio.sleep(0.05)
        assert world.ready() == {("m", "1")}
        (tmp_path / "away").rename(root)
        world.weights("m", 2, "new")
        while world.ready() != {("m", "2")}:
            await asyncio.sleep(0.005)
    await cancel_and_wait(watch)


async def test_the_watch_outlives_a_listener_that_fails(world: World) -> None:
    def fail(_: StageState) -> None:
        raise RuntimeError("listener")

    unsubscribe = world.store.subscribe(fail)
    watch = asyncio.create_task(world.store.watch(0.005))
    async with asyncio.timeout(10):
        await world.store.loaded_once.wait()
        unsubscribe()
        while world.ready() != {("m", "1")}:
            await asyncio.sleep(0.005)
    await cancel_and_wait(watch)

"""Versions that other stages lack: what follows for the choice, and how they travel."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from tests.support.model_stores import LINGER, World, until, watched
from tests.support.repositories import write_model
from trireme_common.lacking import Choice, Chooser, decode_lacking, encode_lacking
from trireme_common.memory import MemoryBudget
from trireme_common.orders import Order
from trireme_common.repository import scan
from trireme_common.stage_state import State
from trireme_common.version_policy import ordered_policy
from trireme_protos.trireme.v1 import envelope_pb2

TWO = frozenset({("m", "2")})
NONE: frozenset[tuple[str, str]] = frozenset()


@pytest.mark.parametrize(
    ("lacking", "choice"),
    [
        ("", Choice([3, 2, 1], 1)),
        ("3", Choice([3, 2, 1], 1, 3)),
        ("32", Choice([3, 1], 1, 3)),  # of those that wait only the most wanted costs memory
        ("2", Choice([3, 1], 1)),
        ("1", Choice([3, 2], 1)),
        ("321", Choice([3, 2, 1], 1)),
    ],
)
def test_a_version_that_others_lack_does_not_count(tmp_path: Path, lacking: str, choice: Choice) -> None:
    write_model(tmp_path, "m", 1, 2, 3)
    chooser = Chooser(ordered_policy, lambda _: None)
    chooser.lack(frozenset(("m", number) for number in lacking), {})
    assert chooser.choose("m", scan(tmp_path).versions) == choice


def test_an_ordered_version_that_others_lack_waits_too(tmp_path: Path) -> None:
    write_model(tmp_path, "m", 1, 2, 3)
    chooser = Chooser(ordered_policy, lambda _: Order(1, "m", version="2"))
    chooser.lack(TWO, {})
    assert chooser.choose("m", scan(tmp_path).versions) == Choice([2, 3, 1], 1, 2)


def test_only_what_changes_a_choice_concerns_a_model(tmp_path: Path) -> None:
    write_model(tmp_path, "m", 1, 2, 3)
    write_model(tmp_path, "n", 1)
    models = {name: [files for files in scan(tmp_path).versions if files.spec.name == name] for name in "mn"}
    chooser = Chooser(ordered_policy, lambda _: None)
    assert chooser.lack(frozenset({("m", "3"), ("n", "1"), ("o", "1")}), models) == {"m"}
    assert chooser.lack(frozenset({("m", "3")}), models) == set()
    assert chooser.lack(TWO, models) == {"m"}
    assert chooser.lack(TWO, models) == set()
    assert chooser.choose("m", models["m"]) == Choice([3, 1], 1)


def test_names_that_are_none_are_left_out_on_the_way() -> None:
    message = encode_lacking(TWO)
    message.versions.append(envelope_pb2.VersionName(model="../m", version="1"))
    message.versions.append(envelope_pb2.VersionName(model="m", version="01"))
    assert decode_lacking(message) == TWO


async def test_a_version_that_others_lack_waits_and_the_good_one_stays(tmp_path: Path) -> None:
    write_model(tmp_path, "m", 1)
    world = World(tmp_path)
    async with watched(world):
        world.weights("m", 2, "new")
        await world.store.refresh()
        assert world.ready() == {("m", "2")}
        world.store.others_lack(TWO)
        await until(lambda: world.ready() == {("m", "1"), ("m", "2")})
        world.now = 2 * LINGER
        await world.store.refresh()
        assert world.ready() == {("m", "1"), ("m", "2")}
        world.store.others_lack(NONE)
        await until(lambda: world.ready() == {("m", "2")})
        assert world.states()[("m", "1")] == (State.UNLOADING, "")
        assert world.loaded == [("m", 1), ("m", 2)]


async def test_the_good_one_comes_back_where_only_the_bad_one_was_loaded(tmp_path: Path) -> None:
    write_model(tmp_path, "m", 1, 2)
    world = World(tmp_path)
    async with watched(world):
        assert world.ready() == {("m", "2")}
        world.store.others_lack(TWO)
        await until(lambda: world.ready() == {("m", "1"), ("m", "2")})
        world.weights("m", 3, "mended")
        await world.store.refresh()
        assert world.ready() == {("m", "3")}


async def test_what_waits_does_not_keep_the_good_one_out_of_memory(tmp_path: Path) -> None:
    write_model(tmp_path, "m", 1, 2)
    world = World(tmp_path, budget=MemoryBudget(1))
    async with watched(world):
        assert world.ready() == {("m", "2")}
        world.store.others_lack(TWO)
        await until(lambda: world.store.peek("m", "1") is not None)
        assert world.store.peek("m", "2") is None
        assert world.states()[("m", "1")] == (State.READY, "")


async def test_the_good_one_is_announced_while_it_is_loaded_again(tmp_path: Path) -> None:
    write_model(tmp_path, "m", 1, 2)
    world = World(tmp_path)
    async with watched(world):
        world.gate = threading.Event()
        world.store.others_lack(TWO)
        await until(lambda: world.states().get(("m", "1")) == (State.LOADING, ""))
        world.gate.set()
        await until(lambda: world.ready() == {("m", "1"), ("m", "2")})


async def test_many_versions_that_others_lack_do_not_fill_memory(tmp_path: Path) -> None:
    write_model(tmp_path, "m", 1)
    world = World(tmp_path)
    async with watched(world):
        for version in range(2, 6):
            world.weights("m", version, "new")
            await world.store.refresh()
            world.store.others_lack(frozenset(("m", str(number)) for number in range(2, version + 1)))
            await until(lambda newest=str(version): world.ready() == {("m", "1"), ("m", newest)})  # type: ignore[misc]
            world.now += LINGER
            await world.store.refresh()
            assert set(world.states()) == {("m", "1"), ("m", str(version))}


async def test_what_is_still_being_copied_is_not_loaded_for_it(tmp_path: Path) -> None:
    write_model(tmp_path, "m", 1, 2)
    world = World(tmp_path)
    async with watched(world):
        world.weights("m", 3, "half")
        world.store.others_lack(TWO)
        await until(lambda: world.ready() == {("m", "1")})
        assert world.loaded == [("m", 2), ("m", 1)]

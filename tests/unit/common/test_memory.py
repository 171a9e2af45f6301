from __future__ import annotations

import pytest

from trireme_common.errors import Code
from trireme_common.memory import MemoryBudget, NoRoomError, Place, Shortage


class World:
    """A budget of 100 bytes and a clock that counts."""

    def __init__(self, limit: int | None = 100) -> None:
        self.now = 0.0
        self.budget = MemoryBudget(limit, self.clock)

    def clock(self) -> float:
        self.now += 1
        return self.now

    def rest(self, name: str, size: int, *, pinned: bool = False) -> Place:
        place, _ = self.budget.take((name, 1), size, pinned=pinned)
        place.resting = True
        return place


def on(gpu: str, place: Place, size: int) -> Place:
    """It stands on a GPU, and takes nothing of this machine's memory."""
    place.size, place.elsewhere = 0, {gpu: size}
    return place


def names(places: list[Place]) -> list[str]:
    return [place.key[0] for place in places]


def test_the_least_recently_used_leave_as_many_as_it_takes() -> None:
    world = World()
    for name in "abcd":
        world.rest(name, 25)
    place, leaving = world.budget.take(("e", 1), 1, pinned=False)
    assert (names(leaving), world.budget.taken, place.size) == (["a"], 76, 1)
    world = World()
    first = world.rest("a", 50)
    world.rest("b", 50)
    world.budget.use(first)
    assert names(world.budget.take(("c", 1), 10, pinned=False)[1]) == ["b"]


def test_who_is_pinned_or_busy_stays() -> None:
    world = World()
    world.rest("pinned", 40, pinned=True)
    world.rest("busy", 20).resting = False
    world.rest("idle", 40)
    assert names(world.budget.take(("new", 1), 40, pinned=False)[1]) == ["idle"]


def test_a_version_that_may_turn_out_bad_does_not_push_out_those_that_serve() -> None:
    world = World()
    world.rest("m", 50)
    world.rest("other", 40)
    with pytest.raises(NoRoomError):
        world.budget.take(("m", 2), 60, pinned=False, swap=True)
    assert names(world.budget.take(("m", 2), 45, pinned=False, swap=True)[1]) == ["other"]


@pytest.mark.parametrize(("size", "short"), [(101, "1 bytes more"), (3 << 20, "3.0 MiB more")])
def test_what_does_not_fit_says_by_how_much_and_nobody_leaves(size: int, short: str) -> None:
    world = World()
    world.rest("a", 60)
    with pytest.raises(NoRoomError) as refused:
        world.budget.take(("b", 1), size, pinned=False)
    assert refused.value.code is Code.MODEL_NOT_READY
    assert short in refused.value.detail
    assert "100 bytes" in refused.value.detail
    assert "TRIREME_INFERENCE_MODELS_MEMORY_BYTES" in refused.value.detail
    assert world.budget.taken == 60


def test_a_place_that_is_free_is_used_again() -> None:
    world = World()
    place, _ = world.budget.take(("a", 1), 100, pinned=True)
    world.budget.free(place)
    world.budget.free(place)
    assert world.budget.taken == 0
    assert names(world.budget.take(("b", 1), 100, pinned=False)[1]) == []


def test_without_a_limit_everything_fits() -> None:
    world = World(limit=None)
    world.rest("a", 1 << 50)
    assert world.budget.take(("b", 1), 1 << 50, pinned=False)[1] == []
    assert world.budget.limit is None


def test_who_stands_on_a_gpu_is_asked_to_leave_for_room_there_alone() -> None:
    world = World()
    on("cuda:0", world.rest("first", 0), 30)
    on("cuda:1", world.rest("elsewhere", 0), 30)
    on("cuda:0", world.rest("second", 0), 30)
    world.rest("host", 100)
    assert world.budget.by_device() == {"cpu": 100, "cuda:0": 60, "cuda:1": 30}
    new, leaving = world.budget.take(("new", 1), 60, pinned=False)
    assert names(leaving) == ["host"]
    refusal = NoRoomError("no room", Shortage("cuda:0", 31))
    assert names(world.budget.clear(new, refusal)) == ["first", "second"]
    assert world.budget.by_device() == {"cpu": 60, "cuda:1": 30}


def test_nobody_leaves_a_gpu_where_that_would_not_be_enough() -> None:
    world = World()
    on("cuda:0", world.rest("pinned", 0, pinned=True), 30)
    on("cuda:0", world.rest("idle", 0), 30)
    on("cuda:0", world.rest("new", 0), 30)
    place, _ = world.budget.take(("new", 2), 0, pinned=False)
    refusal = NoRoomError("no room", Shortage("cuda:0", 31))
    with pytest.raises(NoRoomError) as refused:
        world.budget.clear(place, refusal, swap=True)
    assert refused.value is refusal
    assert world.budget.by_device() == {"cpu": 0, "cuda:0": 90}


def test_what_takes_more_than_was_expected_pushes_others_out_and_stays() -> None:
    world = World()
    world.rest("a", 40)
    world.rest("b", 40)
    grown = world.rest("c", 20)
    world.rest("pinned", 0, pinned=True)
    assert world.budget.overrun(grown) == []
    grown.size = 40
    assert names(world.budget.overrun(grown)) == ["a"]
    grown.size = 200
    assert names(world.budget.overrun(grown)) == ["b"]
    assert world.budget.overrun(grown) == []
    assert world.budget.taken == 200

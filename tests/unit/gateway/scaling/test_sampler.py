"""What one look after the other finds at the pools."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from tests.support.catalogs import state
from trireme_common.stage_state import StageState
from trireme_gateway.holding.queue import HoldQueue
from trireme_gateway.hop.answer_times import EndpointPace
from trireme_gateway.hop.calls import HopCall, Leg
from trireme_gateway.hop.ports import HopItem
from trireme_gateway.scaling.pools import PoolModels
from trireme_gateway.scaling.report import PoolLoad
from trireme_gateway.scaling.sampler import Sampler, WorkOfEndpoint

NOWHERE: Any = None


class Work:
    """WorkOfEndpoint that a test directs."""

    def __init__(self, found: StageState | None) -> None:
        self.state = found
        self.legs: list[Leg] = []
        self.items_sent = 0
        self.pace = EndpointPace()

    def send(self, model: str, items: int, at: float, *, written: bool = True) -> Leg:
        call = HopCall((model, "1"), [HopItem(NOWHERE, b"") for _ in range(items)], NOWHERE, NOWHERE)
        leg = Leg(call, call.items, NOWHERE, at)
        if written:
            leg.first_id = self.items_sent + 1
            self.items_sent += items
        self.legs.append(leg)
        return leg

    def drop(self, leg: Leg) -> None:
        self.legs.remove(leg)


class Pools:
    """A sampler over two pools, `a` and `default`, and what it showed last."""

    def __init__(self) -> None:
        self.now = 100.0
        self.found: list[tuple[str, WorkOfEndpoint]] = []
        self.held = HoldQueue(100, 1000)
        self.loads: Mapping[str, PoolLoad] = {}
        self.models: Mapping[str, int] = {}
        self.sampler = Sampler(
            PoolModels(["a", "default"]),
            lambda: self.found,
            self.held,
            lambda: ["m", "n"],
            self.show,
            window_seconds=10,
            clock=lambda: self.now,
        )

    def show(self, loads: Mapping[str, PoolLoad], models: Mapping[str, int]) -> None:
        self.loads, self.models = loads, models

    def look(self, after: float = 1.0) -> Mapping[str, PoolLoad]:
        self.now += after
        self.sampler.look()
        return self.loads


def test_pools_and_models_are_there_with_nothing_to_do_and_no_endpoint() -> None:
    pools = Pools()
    assert pools.look() == {"a": PoolLoad(), "default": PoolLoad()}
    assert pools.models == {"m": 0, "n": 0}


def test_work_counts_for_the_pool_of_its_endpoint() -> None:
    pools = Pools()
    one, other = Work(state("m")), Work(state("n"))
    pools.found = [("a", one), ("default", other)]
    leg = one.send("m", 4, pools.now)
    one.send("m", 2, pools.now, written=False)
    other.send("n", 1, pools.now)
    loads = pools.look()
    assert (loads["a"].in_flight, loads["a"].queued, loads["a"].queue_wait_seconds) == (4, 2, 1.0)
    assert (loads["default"].in_flight, loads["default"].queued) == (1, 0)
    assert pools.models == {"m": 4, "n": 1}
    one.drop(leg)
    assert pools.look(20)["a"].in_flight == 0
    assert pools.models == {"m": 0, "n": 1}


def test_requests_answered_between_two_looks_count_by_their_time() -> None:
    pools = Pools()
    work = Work(state("m"))
    pools.found = [("a", work)]
    pools.look()
    for _ in range(5):
        work.pace.answered(0.1, pools.now)
        for _ in range(10):
            work.drop(work.send("m", 1, pools.now))
        loads = pools.look()
    assert loads["a"].in_flight == pytest.approx(1.0)
    assert loads["default"].in_flight == 0


def test_held_requests_count_for_the_pools_that_may_have_their_model() -> None:
    pools = Pools()
    pools.held.enter("m", 99.0, 200.0)
    loads = pools.look()
    assert (loads["a"].queued, loads["default"].queued) == (1, 1)  # neither has spoken yet
    assert loads["a"].queue_wait_seconds == 2.0
    pools.found = [("a", Work(state("m"))), ("default", Work(state("n")))]
    pools.look()
    pools.found = [("default", Work(state("n")))]
    loads = pools.look(20)
    assert (loads["a"].queued, loads["default"].queued) == (1, 0)


def test_a_request_that_was_held_only_between_two_looks_is_told() -> None:
    pools = Pools()
    place = pools.held.enter("m", 100.0, 200.0)
    assert place is not None
    pools.held.leave(place)
    assert pools.look()["a"].queued == 1
    assert pools.look(9)["a"].queued == 1
    assert pools.look(2)["a"].queued == 0


def test_an_endpoint_that_went_away_takes_nothing_back() -> None:
    pools = Pools()
    work = Work(state("m"))
    pools.found = [("a", work)]
    pools.look()
    work.send("m", 3, pools.now)
    pools.look()
    pools.found = []
    assert pools.look()["a"].in_flight > 0
    assert pools.look(11)["a"].in_flight == 0

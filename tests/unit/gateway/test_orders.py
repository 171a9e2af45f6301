"""The order desk: who learns what from whom, and what of a newcomer counts."""

from __future__ import annotations

import asyncio
import time

import pytest

from tests.support.fleets import FakeReplica, Fleet
from trireme_common.errors import Code, TriremeError
from trireme_common.orders import Ledger, Order
from trireme_gateway.catalog import INFERENCE, PREPROCESS
from trireme_gateway.orders import OrderDesk

BACK = Order(10, "m", version="1")


def soon() -> float:
    return time.monotonic() + 10


def test_what_one_endpoint_knows_all_learn_and_nobody_hears_it_twice() -> None:
    fleet = Fleet()
    fleet.inference[0].carried_out.merge([BACK])
    fleet.refresh()
    fleet.refresh()
    others = [replica for replica in fleet.all() if replica is not fleet.inference[0]]
    assert [replica.told for replica in others] == [[[BACK]]] * 3
    assert fleet.inference[0].told == []
    assert fleet.default() == "1"


def test_who_did_not_listen_is_told_again_only_when_there_is_more() -> None:
    fleet = Fleet()
    deaf = fleet.replicas[PREPROCESS][0]
    deaf.obedient = False
    fleet.desk.ledger.merge([BACK])
    fleet.refresh()
    fleet.refresh()
    assert deaf.told == [[BACK]]
    newer = fleet.desk.ledger.give("m", version="2")
    fleet.refresh()
    assert deaf.told == [[BACK], [newer]]


def test_a_newcomer_does_not_bring_back_what_was_ordered_away() -> None:
    fleet = Fleet()
    fleet.desk.ledger.merge([BACK])
    fleet.refresh()
    for replica in tuple(fleet.inference):
        fleet.go(replica)
    newcomer = FakeReplica(INFERENCE, "new", obedient=False)
    fleet.come(newcomer)
    assert fleet.catalog.versions("m") == []  # it has version 3 alone, and has not heard yet
    newcomer.obey()
    assert fleet.catalog.versions("m") == ["1"]


def test_who_was_there_when_the_order_came_goes_on_until_it_is_carried_out() -> None:
    fleet = Fleet()
    for replica in fleet.inference:
        replica.obedient = False
    fleet.desk.ledger.merge([BACK])
    fleet.refresh()
    assert fleet.default() == "3"
    fleet.inference[0].obey()
    assert fleet.default() == "1"


def test_an_unloaded_model_is_not_routed_to_from_the_order_on() -> None:
    fleet = Fleet()
    for replica in fleet.all():
        replica.obedient = False
    fleet.desk.ledger.give("m", unloaded=True)
    fleet.refresh()
    with pytest.raises(TriremeError, match="is unloaded") as refused:
        fleet.catalog.resolve("m")
    assert refused.value.code is Code.MODEL_NOT_READY
    assert fleet.catalog.ready


async def test_waiting_ends_when_the_last_endpoint_has_carried_it_out() -> None:
    fleet = Fleet()
    last = fleet.inference[1]
    last.obedient = False
    order = fleet.desk.ledger.give("m", version="2")
    waiting = asyncio.create_task(fleet.desk.carried_out(order, soon()))
    fleet.refresh()
    await asyncio.sleep(0)
    assert not waiting.done()
    last.obey()
    await waiting


async def test_waiting_does_not_depend_on_who_went_away_or_on_an_order_that_was_superseded() -> None:
    fleet = Fleet()
    order = fleet.desk.ledger.give("m", version="2")
    gone = fleet.inference[1]
    gone.obedient = False
    fleet.refresh()
    waiting = asyncio.create_task(fleet.desk.carried_out(order, soon()))
    await asyncio.sleep(0)
    fleet.go(gone)
    await waiting
    fleet.desk.ledger.give("m", version="1")
    fleet.refresh()
    await fleet.desk.carried_out(order, soon())


async def test_who_is_too_slow_is_named() -> None:
    fleet = Fleet()
    fleet.inference[1].obedient = False
    order = fleet.desk.ledger.give("m", version="2")
    fleet.refresh()
    with pytest.raises(TriremeError) as late:
        await fleet.desk.carried_out(order, time.monotonic() - 1)
    assert late.value.code is Code.DEADLINE_EXCEEDED
    assert "at inference inference-1;" in late.value.detail


def test_old_news_of_models_that_nobody_has_is_not_kept() -> None:
    now = 100_000_000
    desk = OrderDesk(ledger=Ledger(wall_us=lambda: now))
    desk.learn([Order(1, "gone"), Order(1, "off", unloaded=True)])
    desk.look()
    assert list(desk.ledger) == [Order(1, "off", unloaded=True)]

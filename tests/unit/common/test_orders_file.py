from __future__ import annotations

import asyncio
from pathlib import Path

from trireme_common.orders import Order
from trireme_common.orders_file import ORDERS_FILE, OrdersFile, StandingOrders

PINNED = Order(2, "m", version="1")
OFF = Order(3, "n", unloaded=True)
MODELS = {"m", "n"}


def test_several_writers_share_a_file(tmp_path: Path) -> None:
    one, other = OrdersFile(tmp_path), OrdersFile(tmp_path)
    assert one.exchange([PINNED], MODELS) == [PINNED]
    assert other.exchange([OFF], MODELS) == [PINNED, OFF]
    assert one.exchange([], MODELS) == [PINNED, OFF]
    assert one.exchange([Order(1, "m")], MODELS) == [PINNED, OFF]  # too old to stand
    assert [path.name for path in tmp_path.iterdir()] == [ORDERS_FILE]


def test_nothing_is_written_where_nothing_is_new(tmp_path: Path) -> None:
    file = OrdersFile(tmp_path)
    assert file.exchange([], MODELS) == []
    assert list(tmp_path.iterdir()) == []
    file.exchange([PINNED], MODELS)
    stamp = (tmp_path / ORDERS_FILE).stat().st_ino
    file.exchange([PINNED], MODELS)
    assert (tmp_path / ORDERS_FILE).stat().st_ino == stamp


def test_what_is_outlived_leaves_the_file(tmp_path: Path) -> None:
    file = OrdersFile(tmp_path)
    file.exchange([PINNED], MODELS)
    (tmp_path / ORDERS_FILE).write_text('{"orders": [{"revision": 1, "model": "nobody"}]}')
    assert file.exchange([PINNED], MODELS) == [PINNED]
    assert "nobody" not in (tmp_path / ORDERS_FILE).read_text()


def test_a_file_that_cannot_be_read_or_written_stops_nobody(tmp_path: Path) -> None:
    (tmp_path / ORDERS_FILE).write_text("{")
    assert OrdersFile(tmp_path).exchange([PINNED], MODELS) == [PINNED]
    assert OrdersFile(tmp_path).exchange([], MODELS) == [PINNED]
    assert OrdersFile(tmp_path / "not" / "there").exchange([PINNED], MODELS) == [PINNED]
    (tmp_path / "folder" / ORDERS_FILE).mkdir(parents=True)
    assert OrdersFile(tmp_path / "folder").exchange([PINNED], MODELS) == [PINNED]
    assert [path.name for path in (tmp_path / "folder").iterdir()] == [ORDERS_FILE]


def test_the_versions_that_were_put_back_are_told_by_model(tmp_path: Path) -> None:
    assert OrdersFile(tmp_path).versions() == {}
    OrdersFile(tmp_path).exchange([PINNED, OFF, Order(4, "o")], MODELS | {"o"})
    assert OrdersFile(tmp_path).versions() == {"m": 1}


async def test_what_was_carried_out_is_told_apart_from_what_is_known(tmp_path: Path) -> None:
    orders = StandingOrders(tmp_path)
    assert orders.take([PINNED, OFF], MODELS) == ["m", "n"]
    assert orders.take([PINNED], MODELS) == []
    assert orders.done == ()
    assert orders.outstanding("m")
    orders.carried_out([PINNED])
    assert not orders.outstanding("m")
    assert not orders.outstanding("unheard")
    assert orders.done == (PINNED,)
    await orders.exchange(MODELS)
    fresh = StandingOrders(tmp_path)
    await fresh.exchange(MODELS)
    assert sorted(fresh.all()) == [PINNED, OFF]
    assert fresh.get("n") == OFF
    assert fresh.done == ()


async def test_old_news_of_models_that_nobody_has_is_not_taken(tmp_path: Path) -> None:
    orders = StandingOrders(tmp_path)
    assert orders.take([Order(1, "gone"), Order(1, "m")], MODELS) == ["m"]
    await asyncio.gather(orders.exchange(MODELS), orders.exchange(MODELS))
    assert orders.all() == (Order(1, "m"),)

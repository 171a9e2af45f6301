"""Ledgers that meet agree, in whatever order they met."""

from __future__ import annotations

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trireme_common.orders import Ledger, Order, decode_orders, dump_orders, encode_orders, parse_orders

ORDERS = st.builds(
    Order,
    revision=st.integers(1, 4),
    model=st.sampled_from(["a", "b"]),
    version=st.sampled_from(["", "1", "20"]),
    unloaded=st.booleans(),
)


@given(orders=st.lists(ORDERS, max_size=5))
def test_the_same_orders_in_any_order_make_the_same_ledger(orders: list[Order]) -> None:
    made = {tuple(sorted(Ledger(way))) for way in permutations(orders)}
    assert len(made) == 1


@given(mine=st.lists(ORDERS), theirs=st.lists(ORDERS))
def test_two_ledgers_agree_once_each_has_what_it_lacked(mine: list[Order], theirs: list[Order]) -> None:
    left, right = Ledger(mine), Ledger(theirs)
    to_right, to_left = left.missing_from(right), right.missing_from(left)
    right.merge(to_right)
    left.merge(to_left)
    assert sorted(left) == sorted(right)
    assert left.missing_from(right) == []


def test_a_new_order_supersedes_all_that_are_known_even_those_of_a_clock_that_is_ahead() -> None:
    ledger = Ledger([Order(10_000, "m", version="1")], wall_us=lambda: 5_000)
    assert ledger.give("m", unloaded=True) == Order(10_001, "m", unloaded=True)
    assert ledger.give("n", version="2") == Order(5_000, "n", version="2")
    assert ledger.give("m").lifts


def test_merging_says_what_was_new() -> None:
    ledger = Ledger([Order(2, "m", version="1")])
    assert ledger.merge([Order(1, "m"), Order(3, "m"), Order(1, "n", unloaded=True)]) == [
        Order(3, "m"),
        Order(1, "n", unloaded=True),
    ]
    assert ledger.get("m") == Order(3, "m")
    assert ledger.get("x") is None
    assert len(ledger) == 2


def test_what_only_lifts_is_forgotten_once_it_is_old_and_nobody_has_the_model() -> None:
    now = 10_000_000
    orders = [
        Order(now, "gone"),
        Order(now, "kept"),
        Order(now, "pinned", version="1"),
        Order(now, "off", unloaded=True),
    ]
    ledger = Ledger(orders, wall_us=lambda: now)
    ledger.forget({"kept"})
    assert len(ledger) == 4
    now += 61_000_000
    assert ledger.outlived(Order(10_000_000, "other"), {"kept"})
    ledger.forget({"kept"})
    assert {order.model for order in ledger} == {"kept", "pinned", "off"}


@given(orders=st.lists(ORDERS))
def test_orders_survive_both_codings(orders: list[Order]) -> None:
    ledger = Ledger(orders)
    assert sorted(decode_orders(encode_orders(ledger))) == sorted(ledger)
    assert parse_orders(dump_orders(ledger)) == sorted(ledger)


@pytest.mark.parametrize(
    "order",
    [
        Order(0, "m"),
        Order(1, ""),
        Order(1, "../m"),
        Order(1, "m.inference"),
        Order(1, "m", version="one"),
        Order(1, "m", version="01"),
        Order(1, "m", version="٣"),
    ],
)
def test_what_no_gateway_gives_is_left_out_or_refused(order: Order) -> None:
    assert decode_orders(encode_orders([order, Order(1, "n")])) == (Order(1, "n"),)
    with pytest.raises(ValueError, match="an order"):
        parse_orders(dump_orders([order]))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{}",
        b'{"orders": 3}',
        b'{"orders": [{"model": "m"}]}',
        b'{"orders": [{"revision": "1", "model": "m"}]}',
    ],
)
def test_a_file_that_is_none_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="order"):
        parse_orders(data)

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trireme_gateway.cache.directives import Directives, parse
from trireme_gateway.cache.freshness import NEVER, Freshness, Held


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("no-store", Directives(no_store=True)),
        ("No-Cache", Directives(no_cache=True)),
        (" no-cache , no-store ", Directives(no_cache=True, no_store=True)),
        ("only-if-cached", Directives(only_if_cached=True)),
        ("max-age=60, min-fresh=5", Directives(max_age=60, min_fresh=5)),
        ("max-stale", Directives(max_stale=math.inf)),
        ('max-stale="30"', Directives(max_stale=30)),
        ("max-age=5,max-age=50", Directives(max_age=5)),
        ("no-transform, x=1, ,", Directives()),
        ("", Directives()),
    ],
)
def test_what_a_caller_may_say(header: str, expected: Directives) -> None:
    assert parse(header) == expected


@pytest.mark.parametrize("number", ["", "-1", "1.5", "a", "٣", "1e9"])
def test_a_number_that_is_none_is_the_strictest_one(number: str) -> None:
    held = Held(b"", age=1, left=10, kept=10)
    assert not parse(f"max-age={number}").freshness(0, 60).takes(held)
    assert not parse(f"min-fresh={number}").freshness(0, 60).takes(held)
    assert parse(f"max-stale=x{number}").freshness(30, 60) == Freshness(-0.0)


@given(st.text())
def test_nothing_a_caller_says_raises(header: str) -> None:
    parse(header).freshness(0, 60)


def test_a_long_number_is_a_long_time() -> None:
    assert parse("max-age=" + "9" * 5000).max_age == 2**31


@pytest.mark.parametrize(
    ("header", "taken"),
    [
        ("", -20.0),
        ("max-stale=5", -5.0),
        ("max-stale=0", -0.0),
        ("max-stale=40", -40.0),
        ("max-stale=500", -60.0),
        ("max-stale", -60.0),
        ("min-fresh=7", 7.0),
        ("min-fresh=7, max-stale=40", 7.0),
    ],
)
def test_how_stale_an_answer_may_be(header: str, taken: float) -> None:
    """Of a model whose answers are given out for 20 seconds after their time, and kept for 60."""
    assert parse(header).freshness(20, 60) == Freshness(taken)


def test_max_age_bounds_the_age_of_fresh_and_stale_answers_alike() -> None:
    freshness = parse("max-age=30, max-stale=60").freshness(0, 60)
    assert freshness.takes(Held(b"", age=30, left=-10, kept=50))
    assert not freshness.takes(Held(b"", age=31, left=100, kept=100))


def test_no_cache_takes_nothing_that_is_stored() -> None:
    assert parse("no-cache, max-stale=60").freshness(20, 60) is NEVER
    assert not NEVER.takes(Held(b"", age=0, left=1e9, kept=1e9))

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from trireme_gateway.cache.freshness import Held
from trireme_gateway.cache.memory import ENTRY_OVERHEAD_BYTES, MemoryCache


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


ONE = ENTRY_OVERHEAD_BYTES + 1 + 10
"""Cost of an entry with a key of one byte and a value of ten."""


def test_the_least_recently_used_goes_first() -> None:
    memory = MemoryCache(3 * ONE, max_value_bytes=100)
    for key in (b"a", b"b", b"c"):
        memory.put(key, b"x" * 10, 60)
    assert memory.get(b"a") is not None
    memory.put(b"d", b"x" * 10, 60)
    assert memory.get(b"b") is None
    assert [memory.get(key) is not None for key in (b"a", b"c", b"d")] == [True] * 3


def test_entries_end_with_their_time_and_free_their_bytes() -> None:
    clock = Clock()
    memory = MemoryCache(10 * ONE, max_value_bytes=100, clock=clock)
    memory.put(b"a", b"x" * 10, 5)
    clock.now += 4.99
    assert memory.get(b"a") == b"x" * 10
    clock.now += 0.01
    assert memory.get(b"a") is None
    assert memory.size_bytes == 0
    assert len(memory) == 0


def test_a_large_value_is_not_kept_and_evicts_nothing() -> None:
    memory = MemoryCache(8 * ONE)
    memory.put(b"a", b"x" * 10, 60)
    memory.put(b"b", b"x" * (ONE + 1), 60)
    assert memory.get(b"b") is None
    assert memory.get(b"a") is not None


def test_a_value_that_may_not_replace_the_old_one_still_removes_it() -> None:
    memory = MemoryCache(8 * ONE)
    memory.put(b"a", b"old", 60)
    memory.put(b"a", b"x" * (ONE + 1), 60)
    assert memory.get(b"a") is None


def test_a_stale_value_is_found_but_not_got_until_it_is_gone() -> None:
    clock = Clock()
    memory = MemoryCache(10 * ONE, max_value_bytes=100, clock=clock)
    memory.put(b"a", b"x", 5, keep_seconds=10)
    clock.now += 7
    assert memory.get(b"a") is None
    assert memory.find(b"a") == Held(b"x", age=7, left=-2, kept=8)
    clock.now += 8
    assert memory.find(b"a") is None
    assert memory.size_bytes == 0


def test_a_value_taken_over_keeps_its_age() -> None:
    clock = Clock()
    memory = MemoryCache(10 * ONE, max_value_bytes=100, clock=clock)
    memory.put(b"a", b"x", -1, keep_seconds=3, age=20)
    clock.now += 1
    assert memory.find(b"a") == Held(b"x", age=21, left=-2, kept=1)


def test_what_is_pushed_out_is_counted_once() -> None:
    memory = MemoryCache(3 * ONE, max_value_bytes=100)
    for number in range(5):
        memory.put(b"%d" % number, b"x" * 10, 60)
    memory.put(b"4", b"y" * 10, 60)
    assert memory.take_evicted() == 2
    assert memory.take_evicted() == 0


def test_size_zero_keeps_nothing() -> None:
    memory = MemoryCache(0)
    memory.put(b"a", b"x", 60)
    assert memory.get(b"a") is None
    assert not memory.enabled


def test_no_time_to_live_keeps_nothing() -> None:
    memory = MemoryCache(10 * ONE)
    memory.put(b"a", b"x", 0)
    assert memory.get(b"a") is None


operations = st.tuples(
    st.sampled_from(["put", "get", "wait"]), st.sampled_from([b"a", b"b", b"c", b"d"]), st.integers(0, 40)
)


@given(st.lists(operations, max_size=60))
def test_the_bytes_never_pass_the_bound_and_always_add_up(steps: list[tuple[str, bytes, int]]) -> None:
    clock = Clock()
    bound = 3 * ONE
    memory = MemoryCache(bound, max_value_bytes=30, clock=clock)
    latest: dict[bytes, bytes] = {}
    for step, key, number in steps:
        if step == "put":
            latest[key] = bytes(number)
            memory.put(key, latest[key], 10)
        elif step == "wait":
            clock.now += number / 4
        elif (value := memory.get(key)) is not None:
            assert value == latest[key]
        assert memory.size_bytes <= bound
    clock.now += 1000
    for key in latest:
        memory.get(key)
    assert (memory.size_bytes, len(memory)) == (0, 0)

"""A load that found no room on a device is tried again when there may be more, and not sooner."""

from __future__ import annotations

from trireme_common.memory import HOST, Shortage
from trireme_common.retries import FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS, Retries

GPU = "cuda:0"
BIG, ONE, TWO = ("big", 1), ("one", 1), ("two", 1)


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def refused(retries: Retries, away: frozenset[tuple[str, int]] | None = None) -> Shortage:
    return retries.refused(BIG, Shortage(GPU, 20), retries.so_far(), away)


def test_nothing_is_tried_again_that_lacked_nothing_and_this_machines_memory_always() -> None:
    retries = Retries(Clock())
    assert not retries.may_fit(None)
    assert retries.may_fit(Shortage(HOST, 20))


def test_a_departure_from_the_same_device_is_a_reason() -> None:
    retries = Retries(Clock())
    shortage = refused(retries)
    assert (shortage.device, shortage.missing) == (GPU, 20)
    retries.freed(ONE, ["cuda:1"])
    assert not retries.may_fit(shortage)
    retries.freed(ONE, [GPU])
    assert retries.may_fit(shortage)
    assert not retries.may_fit(refused(retries))


def test_a_departure_during_the_load_counts() -> None:
    retries = Retries(Clock())
    before = retries.so_far()
    retries.freed(ONE, [GPU])
    assert retries.may_fit(retries.refused(BIG, Shortage(GPU), before, None))


def test_those_that_had_left_in_vain_are_no_reason_and_others_are() -> None:
    retries = Retries(Clock())
    retries.freed(ONE, [GPU])
    shortage = refused(retries, frozenset({ONE}))
    for _ in range(2):
        retries.freed(ONE, [GPU])
        assert not retries.may_fit(shortage)
    retries.freed(TWO, [GPU])
    assert retries.may_fit(shortage)


def test_time_is_a_reason_that_becomes_rarer_until_there_was_room() -> None:
    clock = Clock()
    retries = Retries(clock)
    pauses = []
    for _ in range(12):
        shortage = refused(retries)
        assert refused(retries, frozenset({ONE})).again == shortage.again  # of the same load
        pauses.append(shortage.again - clock.now)
        assert not retries.may_fit(shortage)
        clock.now = shortage.again
        assert retries.may_fit(shortage)
    assert pauses[:3] == [FIRST_PAUSE_SECONDS, 2 * FIRST_PAUSE_SECONDS, 4 * FIRST_PAUSE_SECONDS]
    assert pauses[-1] == LONGEST_PAUSE_SECONDS
    retries.loaded(BIG)
    assert refused(retries).again - clock.now == FIRST_PAUSE_SECONDS

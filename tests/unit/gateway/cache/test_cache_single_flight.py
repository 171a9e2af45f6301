from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from trireme_common.errors import Code, TriremeError
from trireme_gateway.cache.single_flight import Group, Landing, SingleFlight


def flights() -> SingleFlight:
    return SingleFlight(lambda error: error.code is Code.BLANK_TEXT)


class Work:
    """Answers a group when the gate opens; counts the computations of each key."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.runs: Counter[bytes] = Counter()
        self.cancelled = 0
        self.errors: list[TriremeError] = []

    async def __call__(self, group: Group) -> None:
        keys = group.pending
        self.runs.update(keys)
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.errors:
            raise self.errors.pop(0)
        for key in keys:
            group.land(key, key.upper())


async def started(tasks: list[asyncio.Task[dict[bytes, Landing]]]) -> None:
    for _ in range(5):
        await asyncio.sleep(0)
    assert not any(task.done() for task in tasks)


async def test_a_cancelled_leader_leaves_a_hundred_waiters_answered_by_its_one_computation() -> None:
    work, flight = Work(), flights()
    tasks = [asyncio.create_task(flight.fly([b"a"], work)) for _ in range(101)]
    await started(tasks)
    tasks[0].cancel()
    await asyncio.sleep(0)
    work.gate.set()
    answers = await asyncio.gather(*tasks[1:])
    assert [answer[b"a"].outcome for answer in answers] == [b"A"] * 100
    assert work.runs == {b"a": 1}


async def test_overlapping_requests_compute_each_key_once() -> None:
    work, flight = Work(), flights()
    one = asyncio.create_task(flight.fly([b"a", b"b", b"c"], work))
    two = asyncio.create_task(flight.fly([b"c", b"d", b"a"], work))
    await started([one, two])
    work.gate.set()
    assert {key: landing.outcome for key, landing in (await one).items()} == {
        b"a": b"A",
        b"b": b"B",
        b"c": b"C",
    }
    joined = await two
    assert [joined[key].led for key in (b"a", b"c", b"d")] == [False, False, True]
    assert set(work.runs.values()) == {1}


async def test_a_computation_that_nobody_waits_for_is_cancelled() -> None:
    work, flight = Work(), flights()
    tasks = [asyncio.create_task(flight.fly([b"a", b"b"], work)) for _ in range(3)]
    await started(tasks)
    for task in tasks[:2]:
        task.cancel()
    await started(tasks[2:])
    assert work.cancelled == 0
    tasks[2].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await asyncio.sleep(0)
    assert work.cancelled == 1


async def test_part_of_the_keys_wanted_keeps_the_whole_computation() -> None:
    work, flight = Work(), flights()
    one = asyncio.create_task(flight.fly([b"a", b"b"], work))
    two = asyncio.create_task(flight.fly([b"b"], work))
    await started([one, two])
    one.cancel()
    await started([two])
    work.gate.set()
    assert (await two)[b"b"].outcome == b"B"
    assert work.cancelled == 0


async def test_who_asks_while_an_abandoned_computation_ends_starts_afresh() -> None:
    work, flight = Work(), flights()
    one = asyncio.create_task(flight.fly([b"a"], work))
    await started([one])
    one.cancel()
    two = asyncio.create_task(flight.fly([b"a"], work))
    await asyncio.gather(one, return_exceptions=True)
    work.gate.set()
    assert (await two)[b"a"].outcome == b"A"
    assert work.runs == {b"a": 2}


async def test_who_waits_too_long_leaves_without_hurting_the_others() -> None:
    work, flight = Work(), flights()
    patient = asyncio.create_task(flight.fly([b"a"], work))
    await started([patient])
    with pytest.raises(TimeoutError):
        await flight.fly([b"a"], work, wait_seconds=0)
    work.gate.set()
    assert (await patient)[b"a"].outcome == b"A"
    assert (work.runs, work.cancelled) == ({b"a": 1}, 0)


async def test_a_computation_is_cancelled_where_the_last_who_waits_has_no_time_left() -> None:
    work, flight = Work(), flights()
    late = asyncio.create_task(flight.fly([b"a"], work, wait_seconds=0))
    other = asyncio.create_task(flight.fly([b"a"], work, wait_seconds=60))
    with pytest.raises(TimeoutError):
        await late
    assert work.cancelled == 0
    other.cancel()
    await asyncio.gather(other, return_exceptions=True)
    await asyncio.sleep(0)
    assert work.cancelled == 1


async def test_a_deterministic_error_is_everybodys() -> None:
    work, flight = Work(), flights()
    work.errors = [TriremeError(Code.BLANK_TEXT, "blank")]
    tasks = [asyncio.create_task(flight.fly([b"a"], work)) for _ in range(10)]
    await started(tasks)
    work.gate.set()
    for answer in await asyncio.gather(*tasks):
        outcome = answer[b"a"].outcome
        assert isinstance(outcome, TriremeError)
        assert outcome.code is Code.BLANK_TEXT
    assert work.runs == {b"a": 1}


@pytest.mark.parametrize("failures", [1, 2])
async def test_any_other_error_is_the_leaders_and_the_joined_try_once_more_together(failures: int) -> None:
    work, flight = Work(), flights()
    work.errors = [TriremeError(Code.OVERLOADED, f"busy {n}") for n in range(failures)]
    tasks = [asyncio.create_task(flight.fly([b"a"], work)) for _ in range(100)]
    await started(tasks)
    work.gate.set()
    outcomes = [answer[b"a"].outcome for answer in await asyncio.gather(*tasks)]
    assert str(outcomes[0]) == "busy 0"
    assert {str(outcome) for outcome in outcomes[1:]} == ({"b'A'"} if failures == 1 else {"busy 1"})
    assert work.runs == {b"a": 2}


async def test_a_computation_cancelled_from_within_is_an_error_that_is_not_shared() -> None:
    flight = flights()
    runs = 0

    async def breaks_off(group: Group) -> None:
        nonlocal runs
        runs += 1
        await asyncio.sleep(0)
        if runs == 1:
            raise asyncio.CancelledError
        group.land(b"a", b"A")

    one, two = await asyncio.gather(flight.fly([b"a"], breaks_off), flight.fly([b"a"], breaks_off))
    outcome = one[b"a"].outcome
    assert isinstance(outcome, TriremeError)
    assert outcome.code is Code.CANCELLED
    assert two[b"a"].outcome == b"A"


async def test_keys_that_a_computation_forgot_still_get_an_outcome() -> None:
    async def forgets(group: Group) -> None:
        group.land(b"a", b"A")

    landings = await flights().fly([b"a", b"b"], forgets)
    assert landings[b"a"].outcome == b"A"
    assert isinstance(landings[b"b"].outcome, TriremeError)


async def test_closing_answers_everybody_and_leaves_no_task() -> None:
    work, flight = Work(), flights()
    tasks = [asyncio.create_task(flight.fly([b"a"], work)) for _ in range(3)]
    await started(tasks)
    await flight.close()
    for answer in await asyncio.gather(*tasks):
        outcome = answer[b"a"].outcome
        assert isinstance(outcome, TriremeError)
        assert outcome.code is Code.CANCELLED
    assert asyncio.all_tasks() == {asyncio.current_task()}

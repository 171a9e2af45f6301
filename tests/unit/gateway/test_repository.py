"""Load, unload and rollback over endpoints that obey, refuse, fail and lag."""

from __future__ import annotations

import asyncio
import time

import pytest

from tests.support.fleets import Fleet
from trireme_common.errors import Code, TriremeError
from trireme_common.stage_state import State
from trireme_gateway.catalog import POSTPROCESS, VersionStatus
from trireme_gateway.repository import Repository, check_unload_parameters


def soon() -> float:
    return time.monotonic() + 10


async def test_the_version_before_comes_back_step_by_step_until_the_model_is_loaded() -> None:
    fleet = Fleet()
    assert fleet.default() == "3"
    assert await fleet.repository.rollback("m", None, soon()) == "2"
    assert await fleet.repository.rollback("m.inference", None, soon()) == "1"
    assert {replica.models()[0].version for replica in fleet.inference} == {"1"}
    assert fleet.catalog.health()["m"].reason == "version 1 was put back"
    with pytest.raises(
        TriremeError, match=r"no good version older than 1, .*in the repository: 1, 2, 3"
    ) as last:
        await fleet.repository.rollback("m", None, soon())
    assert last.value.code is Code.INVALID_ARGUMENT
    assert await fleet.repository.rollback("m", "2", soon()) == "2"
    assert await fleet.repository.load("m", soon()) == "3"
    assert fleet.catalog.health()["m"].reason == ""


async def test_a_version_that_is_known_to_be_bad_is_not_the_one_before() -> None:
    fleet = Fleet()
    for replica in fleet.inference:
        replica.bad = ("2",)
    fleet.refresh()
    assert await fleet.repository.rollback("m", None, soon()) == "1"


@pytest.mark.parametrize(
    ("model", "version", "code", "said"),
    [
        ("nobody", None, Code.MODEL_NOT_FOUND, "unknown model 'nobody'; the repository has m"),
        ("../m", None, Code.MODEL_NOT_FOUND, "unknown model"),
        ("m", "7", Code.MODEL_NOT_FOUND, "no version '7'; in the repository: 1, 2, 3"),
        ("m", "one", Code.INVALID_ARGUMENT, "'one' is no version"),
        ("m", "01", Code.INVALID_ARGUMENT, "'01' is no version"),
    ],
)
async def test_what_is_not_there_is_said_with_what_is(
    model: str, version: str | None, code: Code, said: str
) -> None:
    fleet = Fleet()
    with pytest.raises(TriremeError) as refused:
        await fleet.repository.rollback(model, version, soon())
    assert refused.value.code is code
    assert said in refused.value.detail
    assert len(fleet.desk.ledger) == 0


async def test_a_version_that_no_endpoint_can_load_is_not_put_back() -> None:
    fleet = Fleet()
    await fleet.repository.rollback("m", "2", soon())
    for replica in fleet.inference:
        replica.bad = ("1",)
    with pytest.raises(TriremeError) as refused:
        await fleet.repository.rollback("m", "1", soon())
    assert refused.value.code is Code.INVALID_ARGUMENT
    assert "cannot be loaded: the file is bad; version" in refused.value.detail
    order = fleet.desk.ledger.get("m")
    assert order is not None
    assert order.version == "2"  # what was ordered before stands again
    assert fleet.default() == "2"


async def test_the_version_before_that_one_comes_back_where_that_one_turns_out_bad() -> None:
    fleet = Fleet()
    for replica in fleet.inference:
        replica.bad = ("2",)  # which nobody has been told
    assert await fleet.repository.rollback("m", None, soon()) == "1"
    assert fleet.default() == "1"


async def test_where_every_older_version_turns_out_bad_each_is_named_and_nothing_changes() -> None:
    fleet = Fleet()
    for replica in fleet.inference:
        replica.bad = ("1", "2")
    with pytest.raises(TriremeError) as refused:
        await fleet.repository.rollback("m", None, soon())
    assert refused.value.detail == (
        "version 2 of 'm' cannot be loaded: the file is bad; "
        "version 1 of 'm' cannot be loaded: the file is bad; version 3 goes on"
    )
    order = fleet.desk.ledger.get("m")
    assert order is not None
    assert order.lifts
    assert fleet.default() == "3"


async def test_where_nothing_answers_the_newest_version_that_can_comes_back() -> None:
    fleet = Fleet()
    for replica in fleet.inference:
        replica.versions = ()  # nothing is known to be bad, and nothing is there
    fleet.refresh()
    assert fleet.default() == ""
    for replica in fleet.inference:
        replica.versions, replica.bad = ("1", "2", "3"), ("3",)
    assert await fleet.repository.rollback("m", None, soon()) == "2"


async def test_an_endpoint_that_cannot_have_it_while_others_do_is_named_and_the_order_stands() -> None:
    fleet = Fleet()
    fleet.inference[1].bad = ("2",)
    with pytest.raises(TriremeError) as partly:
        await fleet.repository.rollback("m", "2", soon())
    assert partly.value.code is Code.BACKEND_UNAVAILABLE
    assert "not from inference-1: the file is bad" in partly.value.detail
    assert fleet.default() == "2"


async def test_an_unloaded_model_is_shown_as_such_until_it_is_loaded() -> None:
    fleet = Fleet()
    await fleet.repository.unload("m", soon())
    health = fleet.catalog.health()["m"]
    assert (health.state, health.reason, health.unloaded) == (State.UNAVAILABLE, "unloaded", True)
    statuses = fleet.catalog.statuses()
    assert statuses == [VersionStatus("m", number, State.UNAVAILABLE, "unloaded") for number in "123"]
    assert fleet.catalog.ready
    with pytest.raises(TriremeError, match="no good version that could answer; in the repository: 1, 2, 3"):
        await fleet.repository.rollback("m", None, soon())
    assert await fleet.repository.load("m", soon()) == "3"
    assert fleet.catalog.resolve("m").version == "3"


async def test_loading_says_why_it_came_to_nothing() -> None:
    fleet = Fleet()
    with pytest.raises(TriremeError, match="unknown model 'nobody'") as unknown:
        await fleet.repository.load("nobody", soon())
    assert unknown.value.code is Code.MODEL_NOT_FOUND
    for replica in fleet.inference:
        replica.bad = ("1", "2", "3")
    fleet.refresh()
    with pytest.raises(TriremeError, match="cannot be loaded: version 1: the file is bad") as broken:
        await fleet.repository.load("m", soon())
    assert broken.value.code is Code.INVALID_ARGUMENT


async def test_without_every_stage_nothing_is_ordered() -> None:
    fleet = Fleet()
    fleet.go(fleet.replicas[POSTPROCESS][0])
    for call in (
        fleet.repository.load("m", soon()),
        fleet.repository.unload("m", soon()),
        fleet.repository.rollback("m", None, soon()),
        Repository().load("m", soon()),
    ):
        with pytest.raises(TriremeError) as refused:
            await call
        assert refused.value.code is Code.BACKEND_UNAVAILABLE
        assert POSTPROCESS in refused.value.detail
    assert len(fleet.desk.ledger) == 0


def test_parameters_that_cannot_be_honoured_are_refused() -> None:
    check_unload_parameters({"unload_dependents": True})
    with pytest.raises(TriremeError, match="no parameter 'force'"):
        check_unload_parameters({"force": 1})
    with pytest.raises(TriremeError, match="must be true or false"):
        check_unload_parameters({"unload_dependents": {}})


async def test_if_all_endpoints_go_meanwhile_that_is_said() -> None:
    fleet = Fleet()
    for replica in fleet.inference:
        replica.obedient = False
    waiting = asyncio.create_task(fleet.repository.unload("m", soon()))
    await asyncio.sleep(0)
    for replica in tuple(fleet.inference):
        fleet.go(replica)
    with pytest.raises(TriremeError, match="no endpoint of inference is connected"):
        await waiting

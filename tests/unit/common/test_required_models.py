"""The models without which a stage is not ready."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.catalogs import state, version
from tests.support.stages import StateBoard
from trireme_common.errors import SettingsError
from trireme_common.orders import Order
from trireme_common.required_models import missing_models, parse_models, wait_for_models
from trireme_common.stage_state import StageState, State


def test_names_have_commas_or_blanks_between() -> None:
    assert parse_models("a, b,\nc ", "X") == {"a", "b", "c"}
    assert parse_models(" ", "X") == frozenset()
    with pytest.raises(SettingsError, match=r"TRIREME_INFERENCE_REQUIRED_MODELS: '\.\./a'"):
        parse_models("../a", "TRIREME_INFERENCE_REQUIRED_MODELS")


def test_a_model_is_there_with_any_version_and_else_the_reason_is_told() -> None:
    found = state(
        version("a", "1"),
        version("a", "2", State.UNAVAILABLE, "truncated"),
        version("b", "1", State.UNAVAILABLE, "truncated"),
        version("c", "1", State.LOADING),
        version("d", "1", State.UNLOADING),
    )
    assert missing_models(found, "abcde") == {
        "b": "truncated",
        "c": "loading",
        "d": "unloading",
        "e": "not in the repository",
    }


def test_what_an_operator_unloaded_is_not_waited_for() -> None:
    orders = (Order(1, "a", unloaded=True), Order(2, "b", version="1"))
    assert missing_models(StageState(orders=orders), "ab") == {"b": "not in the repository"}


async def test_it_waits_until_all_are_there_and_listens_no_longer() -> None:
    board = StateBoard(state("a"))
    waiting = asyncio.create_task(wait_for_models(board, ["a", "b"]))
    await asyncio.sleep(0)
    board.publish(state("a", version("b", found=State.LOADING)))
    for _ in range(5):
        await asyncio.sleep(0)
    assert not waiting.done()
    board.publish(state("a", "b"))
    await asyncio.wait_for(waiting, 10)
    assert not board.listeners


async def test_without_names_nothing_is_waited_for() -> None:
    await wait_for_models(StateBoard(state()), [])

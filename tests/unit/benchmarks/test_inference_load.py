"""The load generator of the inference benchmark: answers told right from wrong, closed and open loops."""

from __future__ import annotations

import asyncio
import os
from base64 import b64encode
from pathlib import Path

import numpy as np
import orjson
import pytest

from benchmarks.load.closed_loop import WrongAnswerError
from benchmarks.load.doors import Bounded
from benchmarks.load.pace import Load, Order
from benchmarks.load.questions import AnswerForm, Checker, Questions

VALUES = (0.5, -2.0, 4.0)
RAW = np.array(VALUES, "<f4").tobytes()


def questions(form: AnswerForm = "tail", path: tuple[str | int, ...] = ()) -> Questions:
    return Questions("http", "m", (b"first", b"second"), (VALUES, (1.0, 1.0, 1.0)), form, path)


@pytest.mark.parametrize(
    ("form", "path", "body"),
    [
        ("tail", (), b'{"a json head": 1}' + RAW),
        ("floats", ("outputs", 0, "data"), orjson.dumps({"outputs": [{"data": VALUES}]})),
        ("base64", (0,), orjson.dumps([b64encode(RAW).decode()])),
    ],
)
def test_the_right_values_are_found_in_every_form(
    form: AnswerForm, path: tuple[str | int, ...], body: bytes
) -> None:
    checker = Checker(questions(form, path))
    checker.check(0, body)
    with pytest.raises(WrongAnswerError, match="ONNX Runtime alone says"):
        checker.check(1, body)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"short",
        np.array([0.5, np.nan, 4.0], "<f4").tobytes(),
        np.array([0.5, -2.0, 4.1], "<f4").tobytes(),
    ],
)
def test_what_is_not_the_answer_is_refused(body: bytes) -> None:
    with pytest.raises(WrongAnswerError):
        Checker(questions()).check(0, body)


def test_rounding_of_another_batch_is_allowed() -> None:
    Checker(questions()).check(0, np.array([0.503, -2.003, 3.997], "<f4").tobytes())


def test_questions_outlive_their_file(tmp_path: Path) -> None:
    asked = questions("floats", ("outputs", 0))
    asked.write(tmp_path / "q.json")
    assert Questions.read(tmp_path / "q.json") == asked


class Echo:
    """Answers each request with the values that belong to it, a little later."""

    def __init__(self, wrong_after: int = 10**9) -> None:
        self.asked = 0
        self.under_way = self.most = 0
        self._wrong_after = wrong_after

    async def ask(self, request: bytes) -> bytes:
        self.asked += 1
        number = self.asked
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        await asyncio.sleep(0.001)
        self.under_way -= 1
        if number > self._wrong_after:
            return b"\0" * 12
        return RAW if request == b"first" else np.ones(3, "<f4").tobytes()


async def test_a_closed_loop_keeps_so_many_under_way() -> None:
    way = Echo()
    sample = await Load(way, questions()).run(Order(os.getpid(), 4, 0.05, 0.2))
    assert way.most == 4
    assert way.under_way == 0
    assert 0 < sample.requests < way.asked
    assert sample.p50_ms <= sample.p99_ms


async def test_an_open_loop_offers_its_rate_whatever_comes_back() -> None:
    way = Echo()
    sample = await Load(way, questions()).run(Order(os.getpid(), 4, 0.0, 0.5, rate=400.0))
    again = await Load(Echo(), questions()).run(Order(os.getpid(), 4, 0.0, 0.5, rate=400.0))
    assert sample.requests == way.asked == again.requests
    assert 140 < sample.requests < 260  # 200 are expected, with a standard deviation of 14


@pytest.mark.parametrize("rate", [None, 500.0])
async def test_one_wrong_answer_makes_the_measurement_void(rate: float | None) -> None:
    order = Order(os.getpid(), 2, 0.0, 0.2, rate)
    with pytest.raises(ExceptionGroup) as caught:
        await Load(Echo(wrong_after=20), questions()).run(order)
    assert caught.group_contains(WrongAnswerError)


async def test_no_more_are_under_way_than_were_asked_for() -> None:
    class Way:
        under_way = most = 0

        async def ask(self, request: bytes) -> bytes:
            self.under_way += 1
            self.most = max(self.most, self.under_way)
            await asyncio.sleep(0)
            self.under_way -= 1
            return request

    way = Way()
    bounded = Bounded(way, 3)
    asked = [bytes([number]) for number in range(20)]
    assert await asyncio.gather(*map(bounded.ask, asked)) == asked
    assert way.most == 3

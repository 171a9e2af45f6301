from __future__ import annotations

import asyncio
import time

import numpy as np
import pytest

from tests.support.catalogs import catalog, version
from tests.support.gateways import Stages
from tests.support.hops import FakeHop, RecordingObserver, item_text, vector
from trireme_common.errors import Code, TriremeError
from trireme_common.tensors import Tensor, encode_tensors
from trireme_gateway.answers import Classification, Vector
from trireme_gateway.context import RequestContext
from trireme_gateway.items import encode_numbers, encode_text
from trireme_gateway.token_count import count_tokens

ROUTE = catalog("m").resolve("m")


def context(seconds: float = 10) -> RequestContext:
    return RequestContext("r1", time.monotonic() + seconds)


def texts(*values: str) -> list[bytes]:
    return [encode_text(value) for value in values]


async def test_items_go_through_three_hops_in_their_order() -> None:
    stages, observer, found = Stages(), RecordingObserver(), context()
    outcomes = await stages.pipeline(observer).predict(ROUTE, texts("好", "差"), found)
    assert [outcome.label for outcome in outcomes if isinstance(outcome, Classification)] == ["正面", "负面"]
    for hop in (stages.preprocess, stages.inference, stages.postprocess):
        (call,) = hop.calls
        assert (call.model, call.version, call.request_id, call.deadline) == ("m", "1", "r1", found.deadline)
        assert len(call.payloads) == 2
    assert list(found.stage_seconds) == ["preprocess", "inference", "queue", "postprocess"]
    assert found.stage_seconds["queue"] == pytest.approx(0.001)
    assert (found.model, found.version, found.items, found.failed, found.confidence) == ("m", "1", 2, 0, 0.75)
    assert found.inference_seconds > 0
    assert found.cache == "off"
    assert observer.stages == ["preprocess", "inference", "postprocess"]
    assert (observer.models, observer.confidences) == (["m"], [0.75, 0.75])


async def test_one_bad_item_drops_out_and_its_neighbours_go_on() -> None:
    stages, found = Stages(), context()
    poison = TriremeError(Code.MODEL_FAILED, "poison")
    stages.inference.step = lambda payload: poison if item_text(payload) == "poison" else payload
    outcomes = await stages.pipeline().predict(ROUTE, texts("好", " ", "poison", "差"), found)
    kinds = [
        outcome.code if isinstance(outcome, TriremeError) else outcome.label
        for outcome in map(_known, outcomes)
    ]
    assert kinds == ["正面", Code.BLANK_TEXT, Code.MODEL_FAILED, "负面"]
    assert [
        len(hop.calls[0].payloads) for hop in (stages.preprocess, stages.inference, stages.postprocess)
    ] == [4, 3, 2]
    assert (found.items, found.failed) == (4, 2)


def _known(outcome: object) -> Classification | TriremeError:
    assert isinstance(outcome, Classification | TriremeError)
    return outcome


async def test_embeddings_come_with_their_tokens_though_neighbours_fail() -> None:
    poison = TriremeError(Code.MODEL_FAILED, "poison")

    def tokenized(payload: bytes) -> bytes | TriremeError:
        word = item_text(payload)
        if word == "blank":
            return TriremeError(Code.BLANK_TEXT, "the text is blank")
        return encode_tensors([Tensor.of("attention_mask", np.array([[1] * len(word) + [0]]))])

    def ran(payload: bytes) -> bytes | TriremeError:
        return poison if count_tokens(payload) == 6 else payload

    stages = Stages(FakeHop(tokenized), FakeHop(ran), FakeHop(lambda payload: vector([0.5])))
    route = catalog(version("m", task="text-embedding")).resolve("m")
    found = context()
    outcomes = await stages.pipeline().predict(route, texts("ab", "blank", "poison", "abcd"), found)
    first, blank, poisoned, last = outcomes
    assert (first, last) == (Vector([0.5], 2), Vector([0.5], 4))
    assert isinstance(blank, TriremeError)
    assert blank.code is Code.BLANK_TEXT
    assert poisoned is poison
    assert [len(hop.calls[0].payloads) for hop in (stages.preprocess, stages.inference)] == [4, 3]
    assert list(found.stage_seconds) == ["preprocess", "inference", "queue", "postprocess"]
    assert (found.items, found.failed) == (4, 2)


async def test_hops_with_nothing_left_to_do_are_not_asked() -> None:
    stages = Stages()
    outcomes = await stages.pipeline().predict(ROUTE, texts(" "), context())
    assert isinstance(outcomes[0], TriremeError)
    assert not stages.inference.calls


async def test_a_stage_without_endpoints_fails_every_item_or_the_request() -> None:
    stages = Stages(inference=FakeHop(error=TriremeError(Code.BACKEND_UNAVAILABLE, "none")))
    try:
        outcomes = await stages.pipeline().predict(ROUTE, texts("a", "b"), context())
    except TriremeError as error:
        outcomes = [error]
    assert {outcome.code for outcome in outcomes if isinstance(outcome, TriremeError)} == {
        Code.BACKEND_UNAVAILABLE
    }
    assert not stages.postprocess.calls


async def test_the_priority_of_a_request_reaches_every_hop() -> None:
    stages = Stages()
    asked = context()
    asked.priority = 3
    await stages.pipeline().predict(ROUTE, texts("a"), asked)
    hops = (stages.preprocess, stages.inference, stages.postprocess)
    assert [call.priority for hop in hops for call in hop.calls] == [3, 3, 3]


async def test_time_that_is_up_ends_the_request_and_its_calls() -> None:
    stages = Stages()
    stages.inference.gate = asyncio.Event()
    with pytest.raises(TriremeError) as late:
        await stages.pipeline().predict(ROUTE, texts("a"), context(0.05))
    assert late.value.code is Code.DEADLINE_EXCEEDED
    assert "inference" in late.value.detail  # the error says where the time went
    assert not stages.postprocess.calls
    with pytest.raises(TriremeError, match="before its first stage"):
        await stages.pipeline().predict(ROUTE, texts("a"), context(-1))


async def test_a_model_may_give_less_time_than_the_request_has() -> None:
    stages = Stages()
    stages.inference.gate = asyncio.Event()
    route = catalog(version("m", timeout_ms=30)).resolve("m")
    with pytest.raises(TriremeError) as late:
        await stages.pipeline().predict(route, texts("a"), context(60))
    assert late.value.code is Code.DEADLINE_EXCEEDED


async def test_a_caller_that_leaves_cancels_the_hop() -> None:
    stages = Stages()
    stages.inference.gate = asyncio.Event()
    task = asyncio.create_task(stages.pipeline().predict(ROUTE, texts("a"), context()))
    while not stages.inference.calls:
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    for _ in range(5):
        await asyncio.sleep(0)
    assert stages.inference.cancelled == 1


@pytest.mark.parametrize("payload", [b"\xff\xff", b"", b"\x0a\x03\x22\x01a"])
async def test_an_answer_that_cannot_be_read_fails_its_item_alone(payload: bytes) -> None:
    stages = Stages()
    answers = iter((payload, vector([1.0])))
    stages.postprocess.step = lambda _: next(answers)
    first, second = await stages.pipeline().predict(ROUTE, texts("a", "b"), context())
    assert isinstance(first, TriremeError)
    assert first.code is Code.INTERNAL
    assert second == Vector([1.0])


async def test_bare_models_are_asked_for_tensors() -> None:
    stages, found = Stages(), context()
    route = catalog(version("t", task="tensor")).resolve("t")
    sent = Tensor.of("x", np.arange(4, dtype=np.float32).reshape(1, 4))
    assert await stages.pipeline().infer(route, [sent], found) == (sent,)
    assert not stages.preprocess.calls
    assert not stages.postprocess.calls
    assert found.items == 1


@pytest.mark.parametrize(
    ("answer", "code"),
    [(TriremeError(Code.WRONG_SHAPE, "shape"), Code.WRONG_SHAPE), (b"\xff\xff", Code.INTERNAL)],
)
async def test_bare_models_fail_with_inferences_reason(answer: bytes | TriremeError, code: Code) -> None:
    stages, found = Stages(inference=FakeHop(lambda _: answer)), context()
    route = catalog(version("t", task="tensor")).resolve("t")
    with pytest.raises(TriremeError) as failed:
        await stages.pipeline().infer(route, [Tensor("x", "FP32", (1,), b"1234")], found)
    assert failed.value.code is code
    assert encode_numbers([1.0])
    assert encode_tensors([]) == b""

from __future__ import annotations

import time

import pytest

from tests.support.catalogs import catalog, version
from tests.support.gateways import Stages
from trireme_common.errors import Code, TriremeError
from trireme_gateway.answers import Classification
from trireme_gateway.context import RequestContext
from trireme_gateway.items import encode_text
from trireme_gateway.prediction import predict, require_task


def context() -> RequestContext:
    return RequestContext("r", time.monotonic() + 10)


async def test_more_items_than_the_model_takes_fail_the_request() -> None:
    route = catalog(version("m", max_items=2)).resolve("m")
    await predict(Stages().pipeline(), route, [encode_text("a")] * 2, context())
    with pytest.raises(TriremeError) as refused:
        await predict(Stages().pipeline(), route, [encode_text("a")] * 3, context())
    assert refused.value.code is Code.INVALID_ARGUMENT
    assert "takes 2 at once" in refused.value.detail


async def test_an_item_larger_than_the_model_takes_fails_alone() -> None:
    route = catalog(version("m", max_bytes=4)).resolve("m")
    stages, found = Stages(), context()
    outcomes = await predict(
        stages.pipeline(), route, [encode_text(text) for text in ("abcd", "abcde", "x")], found
    )
    assert [isinstance(outcome, Classification) for outcome in outcomes] == [True, False, True]
    refused = outcomes[1]
    assert isinstance(refused, TriremeError)
    assert refused.code is Code.PAYLOAD_TOO_LARGE
    assert (found.items, found.failed) == (3, 1)
    assert len(stages.preprocess.calls[0].payloads) == 2


async def test_items_that_are_all_too_large_reach_no_stage() -> None:
    route = catalog(version("m", max_bytes=1)).resolve("m")
    stages = Stages()
    outcomes = await predict(stages.pipeline(), route, [encode_text("ab")] * 2, context())
    assert all(isinstance(outcome, TriremeError) for outcome in outcomes)
    assert not stages.preprocess.calls


def test_a_model_takes_its_own_kind_of_input() -> None:
    found = catalog("m", version("t", task="tensor"))
    require_task(found.resolve("m"), ("text-classification",), "texts")
    for name in ("t", "m.inference"):
        with pytest.raises(TriremeError, match="it takes tensors"):
            require_task(found.resolve(name), ("text-classification",), "texts")
    with pytest.raises(TriremeError, match="it takes input for text-classification"):
        require_task(found.resolve("m"), ("tabular",), "data")

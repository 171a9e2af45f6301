from __future__ import annotations

import asyncio
import base64
import json
import struct
from typing import Any

import httpx
import numpy as np
import pytest

from tests.support.catalogs import catalog, descriptor, version
from tests.support.gateways import Stages, client, services
from tests.support.hops import FakeHop, Outcome, refuse_blank, vector
from trireme_common.errors import Code, TriremeError
from trireme_common.stage_state import TensorInfo
from trireme_common.tensors import Tensor, decode_tensors, encode_tensors
from trireme_gateway.services import Services


def tokenize(payload: bytes) -> Outcome:
    """A token a byte of a text, or the ids as they are; padded to the next eight."""
    (item,) = decode_tensors(payload)
    ids = list(item.array().ravel()[0]) if item.name == "text" else item.array().tolist()
    if ids == [404]:
        return TriremeError(Code.INVALID_ARGUMENT, "token id 404 at 0 is not in the model's vocabulary")
    blank = refuse_blank(payload) if item.name == "text" else payload
    if isinstance(blank, TriremeError):
        return blank
    padding = [0] * (-len(ids) % 8)
    return encode_tensors(
        [
            Tensor.of("input_ids", np.array([ids + padding])),
            Tensor.of("attention_mask", np.array([[1] * len(ids) + padding])),
        ]
    )


def embed(payload: bytes) -> Outcome:
    """The ids' sum and their number, a tenth of each."""
    ids = decode_tensors(payload)[0].array()
    return vector([float(ids.sum()) / 10, float(np.count_nonzero(ids)) / 10])


def stages() -> Stages:
    return Stages(preprocess=FakeHop(tokenize), postprocess=FakeHop(embed))


def model(**changes: Any) -> Any:
    return version("minilm", task="text-embedding", **changes)


def gateway(found: Stages | None = None, **changes: Any) -> Services:
    return services(
        found or stages(), catalog(model(**changes), version("digits", task="image-classification"))
    )


async def post(body: Any, made: Services | None = None, **headers: str) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps({"model": "minilm", **body}).encode()
    async with client(made or gateway()) as http:
        return await http.post("/v1/embeddings", content=content, headers=headers)


async def test_a_text() -> None:
    response = await post({"input": "abc"})
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert response.headers["x-model-version"] == "1"
    assert response.headers["x-cache"] == "off"
    assert "inference" in response.headers["server-timing"]
    assert response.json() == {
        "object": "list",
        "data": [{"object": "embedding", "index": 0, "embedding": [29.4, 0.3]}],
        "model": "minilm",
        "usage": {"prompt_tokens": 3, "total_tokens": 3},
    }


@pytest.mark.parametrize(
    ("given", "sums", "tokens"),
    [
        (["a", "b", "ab"], [9.7, 9.8, 19.5], 4),
        ([97, 98], [19.5], 2),
        ([[97], [98], [97, 98]], [9.7, 9.8, 19.5], 4),
    ],
)
async def test_lists_of_texts_and_of_token_ids(given: Any, sums: list[float], tokens: int) -> None:
    body = (await post({"input": given})).json()
    assert [item["embedding"][0] for item in body["data"]] == sums
    assert [item["index"] for item in body["data"]] == list(range(len(sums)))
    assert body["usage"] == {"prompt_tokens": tokens, "total_tokens": tokens}


async def test_base64_is_little_endian_float32() -> None:
    response = await post({"input": ["abc"], "encoding_format": "base64", "user": "u", "dimensions": 2})
    (item,) = response.json()["data"]
    assert struct.unpack("<2f", base64.b64decode(item["embedding"])) == pytest.approx((29.4, 0.3), rel=1e-6)
    plain = await post({"input": ["abc"], "encoding_format": None, "user": None, "dimensions": None})
    assert isinstance(plain.json()["data"][0]["embedding"], list)


async def test_tokens_are_remembered_with_the_answer() -> None:
    made = gateway(cache_enabled=True, cache_ttl_seconds=60, cache_scope="shared")
    first = await post({"input": ["abc", "d"]}, made)
    again = await post({"input": ["abc", "d"]}, made)
    assert (first.headers["x-cache"], again.headers["x-cache"]) == ("miss", "hit")
    assert first.json() == again.json()
    assert again.json()["usage"]["prompt_tokens"] == 4


async def test_thousands_go_through_in_windows_and_in_order() -> None:
    found = stages()
    response = await post({"input": [[at + 1000] for at in range(2048)]}, gateway(found))
    body = response.json()
    assert [item["embedding"][0] for item in body["data"]] == [
        pytest.approx((at + 1000) / 10, rel=1e-6) for at in range(2048)
    ]
    assert body["usage"]["total_tokens"] == 2048
    assert max(share for call in found.inference.calls for share in call.shares) == 64


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"input": []}, "input"),
        ({"input": None}, "input"),
        ({"input": 1}, "input"),
        ({"input": [1.5]}, "input"),
        ({"input": [True]}, "input"),
        ({"input": ["a", 1]}, "input"),
        ({"input": [[1], "a"]}, "input"),
        ({"input": [[]]}, "input"),
        ({"input": [[1], []]}, "input"),
        ({"input": [2**63]}, "input"),
        ({"input": ["a"] * 2049}, "input"),
        ({"input": ""}, "input"),
        ({"input": ["a", " "]}, "input"),
        ({"input": [404]}, "input"),
        ({"input": "a", "encoding_format": "int8"}, "encoding_format"),
        ({"input": "a", "dimensions": 0}, "dimensions"),
        ({"input": "a", "dimensions": "2"}, "dimensions"),
        ({"input": "a", "dimensions": 3}, "dimensions"),
        ({"input": "a", "user": 1}, "user"),
        ({"input": "a", "model": None}, "model"),
        ({"input": "a", "truncate": True}, "truncate"),
    ],
)
async def test_what_is_wrong_is_named_as_openais_clients_read_it(body: dict[str, Any], param: str) -> None:
    response = await post(body)
    assert response.status_code == 400
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    error = problem["error"]
    assert error["type"] == "invalid_request_error"
    assert error["param"] == param
    assert error["message"] == problem["detail"]
    assert error["code"] == problem["code"]
    assert problem["request_id"] == response.headers["x-request-id"]


async def test_the_input_that_failed_is_named() -> None:
    error = (await post({"input": ["a"] * 70 + [" "]})).json()["error"]
    assert error == {
        "message": "input[70]: the text is blank",
        "type": "invalid_request_error",
        "param": "input",
        "code": "blank_text",
    }


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'"a"',
        b'{"model":"minilm","model":"minilm","input":"a"}',
        b'{"model":"minilm","input":"\\ud800"}',
    ],
)
async def test_a_body_that_is_no_request(body: bytes) -> None:
    response = await post(body)
    assert response.status_code == 400
    assert response.json()["error"]["param"] is None


async def test_dimensions_of_a_length_that_is_known_are_refused_before_work() -> None:
    found = stages()
    own = descriptor(outputs=(TensorInfo("y", "FP32", (-1, 384)),)).outputs
    response = await post({"input": "a", "dimensions": 2}, gateway(found, outputs=own))
    assert response.status_code == 400
    assert "384" in response.json()["error"]["message"]
    assert not found.preprocess.calls


async def test_a_models_own_limit_counts_for_the_request() -> None:
    response = await post({"input": ["a"] * 65}, gateway(max_items=64))
    assert response.status_code == 400
    assert "64" in response.json()["error"]["message"]
    assert (await post({"input": ["a"] * 64}, gateway(max_items=64))).status_code == 200


async def test_other_models_and_versions() -> None:
    unknown = await post({"input": "a", "model": "nobody"})
    assert unknown.status_code == 404
    assert unknown.json()["error"]["code"] == "model_not_found"
    other = await post({"input": "a", "model": "digits"})
    assert other.status_code == 400
    async with client(
        services(stages(), catalog(model(), version("minilm", "2", task="text-embedding")))
    ) as http:
        asked = {"model": "minilm", "input": "a"}
        for query, number in (("", "2"), ("?version=1", "1")):
            found = await http.post(f"/v1/embeddings{query}", json=asked)
            assert found.headers["x-model-version"] == number


async def test_failures_of_the_platform() -> None:
    full = stages()
    full.inference = FakeHop(lambda _: TriremeError(Code.OVERLOADED, "full"))
    response = await post({"input": ["a"] * 100}, gateway(full))
    assert response.status_code == 503
    assert response.headers["retry-after"]
    assert response.json()["error"]["type"] == "server_error"
    late = stages()
    late.inference.gate = asyncio.Event()
    response = await post({"input": ["a"] * 100}, gateway(late), **{"x-request-timeout-ms": "30"})
    assert response.status_code == 504
    assert response.json()["error"]["code"] == "deadline_exceeded"


async def test_a_model_that_answers_labels_is_no_embedding() -> None:
    response = await post({"input": "a"}, gateway(Stages()))
    assert response.status_code == 500
    assert response.json()["error"]["type"] == "server_error"


async def test_models_as_openais_clients_list_them() -> None:
    async with client(gateway()) as http:
        found = (await http.get("/v1/models")).json()
        gone = await http.get("/v1/models/nobody")
    assert {"id": "minilm", "object": "model"} in found["data"]
    assert gone.json()["error"]["code"] == "model_not_found"

"""The forms of a REST inference request and of its answer."""

from __future__ import annotations

import gzip
import zlib
from typing import Any

import numpy as np
import orjson
import pytest

from tests.unit.gateway.v2.fakes import services
from tests.unit.gateway.v2.rest import TEXT, call, infer
from trireme_common.tensors import encode_bytes


async def test_json_in_and_out() -> None:
    response = await infer("sentiment", {**TEXT, "id": "7"})
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert "inference-header-content-length" not in response.headers
    body = response.json()
    assert (body["model_name"], body["model_version"], body["id"]) == ("sentiment", "1", "7")
    assert body["outputs"][0] == {
        "name": "label",
        "datatype": "BYTES",
        "shape": [2],
        "data": ["positive", "negative"],
    }
    assert body["outputs"][1]["data"] == [0.75, 0.625]


async def test_binary_in_and_out_and_a_version_in_the_path() -> None:
    data = np.array([[1, np.nan, 3]], dtype=np.float32).tobytes()
    head = orjson.dumps(
        {
            "inputs": [
                {
                    "name": "INPUT0",
                    "datatype": "FP32",
                    "shape": [1, 3],
                    "parameters": {"binary_data_size": 12},
                }
            ],
            "parameters": {"binary_data_output": True},
        }
    )
    response = await call(
        "POST",
        "/v2/models/echo/versions/1/infer?unknown=parameter",
        content=head + data,
        headers={"Inference-Header-Content-Length": str(len(head))},
    )
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/octet-stream"
    length = int(response.headers["inference-header-content-length"])
    body = orjson.loads(response.content[:length])
    assert body["model_version"] == "1"
    assert body["outputs"][0]["parameters"] == {"binary_data_size": 12}
    assert response.content[length:] == data


async def test_nan_leaves_only_as_binary_data() -> None:
    blob = np.array([np.nan], dtype=np.float32).tobytes()
    entry = {"name": "INPUT0", "datatype": "FP32", "shape": [1], "parameters": {"binary_data_size": 4}}
    head = orjson.dumps({"inputs": [entry]})
    response = await infer("echo_FP32", head + blob, inference_header_content_length=str(len(head)))
    assert response.status_code == 400
    assert "binary_data: true" in response.json()["error"]


@pytest.mark.parametrize(("coding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
async def test_compressed_both_ways(coding: str, pack: Any) -> None:
    count = 1000
    entry = {"name": "INPUT0", "datatype": "INT32", "shape": [count], "data": [7] * count}
    response = await infer(
        "echo_INT32", pack(orjson.dumps({"inputs": [entry]})), content_encoding=coding, accept_encoding=coding
    )
    assert response.status_code == 200
    assert response.headers["content-encoding"] == coding
    assert response.json()["outputs"][0]["data"] == [7] * count


async def test_a_bomb_is_refused_by_its_unpacked_size() -> None:
    bomb = gzip.compress(b" " * 10_000_000)
    assert (
        await infer("echo", bomb, services(max_body_bytes=100_000), content_encoding="gzip")
    ).status_code == 413
    assert (await infer("echo", bytes(2000), services(max_body_bytes=1024))).status_code == 413
    assert (await infer("echo", b"{}", content_encoding="br")).status_code == 415


@pytest.mark.parametrize("over", [0, 1])
async def test_the_limit_holds_to_the_byte_packed_or_not(over: int) -> None:
    limit = 20_000
    empty = {"name": "INPUT0", "datatype": "BYTES", "shape": [1], "data": [""]}
    padding = limit - len(orjson.dumps({"inputs": [empty]})) + over
    body = orjson.dumps({"inputs": [{**empty, "data": ["x" * padding]}]})
    assert len(body) == limit + over
    known = services(max_body_bytes=limit)
    plain = await infer("echo_BYTES", body, known)
    packed = await infer("echo_BYTES", gzip.compress(body), known, content_encoding="gzip")
    for response in (plain, packed):
        assert response.status_code == (413 if over else 200)
        assert not over or f"larger than the limit of {limit} bytes" in response.json()["error"]


async def test_a_raw_body_is_the_data_of_the_one_input() -> None:
    data = np.array([1, np.nan, -np.inf], dtype=np.float32).tobytes()
    response = await infer("echo", data, inference_header_content_length="0")
    assert response.status_code == 200
    head = orjson.loads(response.content[: int(response.headers["inference-header-content-length"])])
    assert head["outputs"][0]["shape"] == [1, 3]
    assert response.content.endswith(data)
    several = await infer("pair", b"12", inference_header_content_length="0")
    assert (several.status_code, "models of one input" in several.json()["error"]) == (400, True)


@pytest.mark.parametrize("length", ["-1", "+5", "1e3", "", " ", "abc", "99999", "9" * 5000, "٣"])
async def test_a_wrong_header_length_is_refused(length: str) -> None:
    body = orjson.dumps(TEXT)
    response = await call(
        "POST",
        "/v2/models/sentiment/infer",
        content=body,
        headers=[(b"inference-header-content-length", length.encode())],
    )
    assert response.status_code == 400
    assert "must be the length of the JSON" in response.json()["error"]


@pytest.mark.parametrize("content_type", [None, "", "text/plain", "application/octet-stream", "nonsense"])
async def test_the_content_type_decides_nothing(content_type: str | None) -> None:
    headers = {} if content_type is None else {"content-type": content_type}
    response = await call("POST", "/v2/models/sentiment/infer", content=orjson.dumps(TEXT), headers=headers)
    assert response.status_code == 200


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
async def test_who_asks_for_one_coding_alone_gets_it(coding: str) -> None:
    response = await infer("sentiment", TEXT, accept_encoding=coding)
    assert response.headers["content-encoding"] == coding
    assert response.json()["outputs"][0]["data"] == ["positive", "negative"]


async def test_a_large_tensor_passes() -> None:
    count = 200_000
    head = orjson.dumps(
        {
            "inputs": [
                {
                    "name": "INPUT0",
                    "datatype": "FP64",
                    "shape": [count],
                    "parameters": {"binary_data_size": 8 * count},
                }
            ]
        }
    )
    data = np.arange(count, dtype=np.float64)
    response = await infer(
        "echo_FP64",
        head + data.tobytes(),
        services(max_body_bytes=1 << 24),
        inference_header_content_length=str(len(head)),
    )
    assert response.json()["outputs"][0]["data"] == data.tolist()


async def test_parameters_without_a_meaning_here_are_passed_over() -> None:
    parameters = {
        "sequence_id": "a",
        "sequence_start": True,
        "sequence_end": False,
        "triton_enable_empty_final_response": True,
        "of_my_own": 1.5,
    }
    response = await infer("sentiment", {**TEXT, "parameters": parameters})
    assert response.status_code == 200
    assert "parameters" not in response.json()


async def test_outputs_choose_their_form_each_for_itself() -> None:
    outputs = [
        {"name": "probabilities", "parameters": {"binary_data": True}},
        {"name": "label", "parameters": {"binary_data": False}},
        {"name": "confidence"},
    ]
    response = await infer(
        "sentiment", {**TEXT, "outputs": outputs, "parameters": {"binary_data_output": True}}
    )
    length = int(response.headers["inference-header-content-length"])
    probabilities, label, confidence = orjson.loads(response.content[:length])["outputs"]
    assert [entry["name"] for entry in (probabilities, label, confidence)] == [
        "probabilities",
        "label",
        "confidence",
    ]
    assert probabilities["parameters"] == {"binary_data_size": 24}
    assert label["data"] == ["positive", "negative"]
    assert confidence["parameters"] == {"binary_data_size": 8}
    assert np.frombuffer(response.content[length + 24 :], "<f4").tolist() == [0.75, 0.625]


async def test_bytes_that_are_not_utf_8_need_binary_output() -> None:
    data = encode_bytes((b"\xff",))
    entry = {
        "name": "INPUT0",
        "datatype": "BYTES",
        "shape": [1],
        "parameters": {"binary_data_size": len(data)},
    }
    head = orjson.dumps({"inputs": [entry]})
    length = str(len(head))
    refused = await infer("echo_BYTES", head + data, inference_header_content_length=length)
    assert (refused.status_code, "not UTF-8" in refused.json()["error"]) == (400, True)

"""The REST routes under /v2."""

from __future__ import annotations

import gzip
import json
import time
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import httpx
import numpy as np
import orjson
import pytest
from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.unit.gateway.v2.fakes import services
from trireme_common.errors import TriremeError
from trireme_common.stage_state import ModelDescriptor, ModelVersion, StageState, State, TensorInfo
from trireme_common.tensors import encode_bytes
from trireme_gateway.catalog import STAGES, Catalog
from trireme_gateway.context import RequestContext
from trireme_gateway.draining import Draining
from trireme_gateway.errors import handle_error, handle_method_not_allowed, handle_not_found
from trireme_gateway.routes.v2 import router
from trireme_gateway.services import Services

TEXT = {"inputs": [{"name": "text", "datatype": "BYTES", "shape": [2], "data": ["good", "坏"]}]}


class WithContext:
    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["trireme.context"] = RequestContext("id", time.monotonic() + 10)
        await self._app(scope, receive, send)


def application(known: Services) -> FastAPI:
    app = FastAPI(
        redirect_slashes=False,
        exception_handlers={
            TriremeError: handle_error,
            404: handle_not_found,
            405: handle_method_not_allowed,
        },
    )
    app.add_middleware(WithContext)
    app.state.services = known
    app.include_router(router)
    return app


@asynccontextmanager
async def client(known: Services | None = None) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(application(known or services()))
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as made:
        yield made


async def call(method: str, path: str, known: Services | None = None, **keywords: Any) -> httpx.Response:
    async with client(known) as made:
        return await made.request(method, path, **keywords)


async def infer(model: str, body: Any, known: Services | None = None, **headers: str) -> httpx.Response:
    content = body if isinstance(body, bytes) else orjson.dumps(body)
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return await call("POST", f"/v2/models/{model}/infer", known, content=content, headers=sent)


@pytest.mark.parametrize("path", ["/v2", "/v2/"])
async def test_the_server_says_what_it_is(path: str) -> None:
    response = await call("GET", path)
    assert response.status_code == 200
    assert response.json()["name"] == "trireme"
    assert response.json()["extensions"] == [
        "classification",
        "binary_tensor_data",
        "model_configuration",
    ]


async def test_health() -> None:
    assert (await call("GET", "/v2/health/live")).json() == {"live": True}
    assert (await call("GET", "/v2/health/ready")).json() == {"ready": True}
    for known in (services(models=Catalog()), replace(services(), draining=Draining(begun=True))):
        response = await call("GET", "/v2/health/ready", known)
        assert (response.status_code, response.json()) == (503, {"ready": False})


async def test_models_say_whether_they_are_ready() -> None:
    for path in ("/v2/models/echo/ready", "/v2/models/echo/versions/1/ready"):
        response = await call("GET", path)
        assert (response.status_code, response.json()) == (200, {"name": "echo", "ready": True})
    response = await call("GET", "/v2/models/broken/ready")
    assert (response.status_code, response.json()["ready"]) == (503, False)
    assert "no such file" in response.json()["error"]
    response = await call("GET", "/v2/models/absent/ready")
    assert response.status_code == 404
    assert response.json()["error"].startswith("Request for unknown model: 'absent' is not found")


async def test_metadata_with_and_without_a_version() -> None:
    assert (await call("GET", "/v2/models/echo")).json()["versions"] == ["1", "2"]
    assert (await call("GET", "/v2/models/echo/versions/1")).json()["versions"] == ["1"]
    assert (await call("GET", "/v2/models/absent")).status_code == 404


@pytest.mark.parametrize("content", [b"", b"{}", b'{"ready": false}'])
async def test_the_index_takes_an_empty_body(content: bytes) -> None:
    entries = (await call("POST", "/v2/repository/index", content=content)).json()
    assert {"broken", "echo"} <= {entry["name"] for entry in entries}


async def test_the_index_can_leave_out_what_is_not_ready() -> None:
    entries = (await call("POST", "/v2/repository/index", json={"ready": True})).json()
    assert "broken" not in {entry["name"] for entry in entries}
    for body in (b"[]", b'{"ready": 1}', b"nonsense"):
        response = await call("POST", "/v2/repository/index", content=body)
        assert (response.status_code, list(response.json())) == (400, ["error"])


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


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (b"", 400, "not valid JSON"),
        (b'{"inputs": [NaN]}', 400, "not valid JSON"),
        (b'{"inputs": [], "inputs": []}', 400, "twice"),
        ({"inputs": []}, 400, "missing required input(s) ['text']"),
        ({"inputs": [{**TEXT["inputs"][0], "data": ["good", " "]}]}, 400, "item 1: the text is blank"),
        ({**TEXT, "parameters": {"timeout": -1}}, 400, "'timeout' must be a whole number"),
        ({**TEXT, "parameters": {"timeout": 1}}, 504, "time was up"),
        ({**TEXT, "parameters": {"priority": "high"}}, 400, "'priority' must be a whole number"),
        ({**TEXT, "outputs": [{"name": "absent"}]}, 400, "unexpected inference output 'absent'"),
    ],
)
async def test_errors_have_the_protocols_shape(body: Any, status: int, said: str) -> None:
    response = await infer("sentiment", body)
    assert response.status_code == status
    assert list(response.json()) == ["error"]
    assert said in response.json()["error"]


async def test_unknown_models_versions_routes_and_methods() -> None:
    assert (await infer("absent", TEXT)).status_code == 404
    assert (await infer("broken", TEXT)).status_code == 503
    for method, path, status in (
        ("POST", "/v2/models/echo/versions/7/infer", 404),
        ("GET", "/v2/absent", 404),
        ("GET", "/v2/models/echo/infer", 405),
    ):
        response = await call(method, path)
        assert (response.status_code, list(response.json())) == (status, ["error"])


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


async def test_the_routes_are_documented_and_never_promise_422() -> None:
    paths = (await call("GET", "/openapi.json")).json()["paths"]
    for path, operations in paths.items():
        for operation in operations.values():
            assert "422" not in operation["responses"], path
    body = paths["/v2/models/{model}/infer"]["post"]["requestBody"]["content"]
    assert set(body) == {"application/json", "application/octet-stream"}


async def test_the_configuration_of_a_tensor_model_is_the_one_inference_tells() -> None:
    told = {"name": "m", "max_batch_size": 4, "parameters": {"k": {"string_value": "v"}}}
    x = (TensorInfo("x", "FP32", (-1, 2)),)
    y = (TensorInfo("y", "FP32", (-1, 2), labels=("a", "b")),)
    descriptor = ModelDescriptor("tensor", "onnxruntime_onnx", x, y, config=json.dumps(told))
    models = Catalog()
    state = StageState(models=(ModelVersion("m", "1", State.READY, descriptor=descriptor),))
    models.rebuild({stage: [state] for stage in STAGES})
    async with client(services(models=models)) as http:
        assert (await http.get("/v2/models/m/config")).json() == told
        named = (await http.get("/v2/models/m.inference/versions/1/config")).json()
        assert named == {**told, "name": "m.inference"}
        assert (await http.get("/v2/models/m/versions/9/config")).status_code == 404


async def test_the_configuration_of_a_pipeline_has_the_tensors_that_its_callers_see() -> None:
    async with client() as http:
        config = (await http.get("/v2/models/sentiment/config")).json()
    assert (config["name"], config["platform"]) == ("sentiment", "trireme_pipeline")
    assert config["input"] == [{"name": "text", "data_type": "TYPE_STRING", "dims": []}]
    assert config["output"][0] == {"name": "label", "data_type": "TYPE_STRING", "dims": []}
    assert config["max_batch_size"] == 1

"""The REST routes under /v2."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from tests.unit.gateway.v2.fakes import services
from tests.unit.gateway.v2.rest import TEXT, call, client, infer
from trireme_common.stage_state import ModelDescriptor, ModelVersion, StageState, State, TensorInfo
from trireme_gateway.catalog import STAGES, Catalog
from trireme_gateway.draining import Draining


@pytest.mark.parametrize("path", ["/v2", "/v2/"])
async def test_the_server_says_what_it_is(path: str) -> None:
    response = await call("GET", path)
    assert response.status_code == 200
    assert response.json()["name"] == "trireme"
    assert response.json()["extensions"] == [
        "classification",
        "model_repository",
        "model_repository(unload_dependents)",
        "schedule_policy",
        "model_configuration",
        "system_shared_memory",
        "binary_tensor_data",
        "statistics",
        "trace",
        "logging",
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
        ({**TEXT, "parameters": {"sequence_id": True}}, 400, "'sequence_id' must be a whole number or"),
        ({**TEXT, "parameters": {"sequence_end": 1}}, 400, "'sequence_end' must be true or false"),
        ({**TEXT, "parameters": {"triton_my_own": 1}}, 400, "names that begin with 'triton_' are reserved"),
        ({**TEXT, "parameters": {"nested": [1]}}, 400, "'nested' must be a string, a number or a boolean"),
        ({**TEXT, "parameters": {"binary_data_output": 1}}, 400, "must be true or false"),
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


async def test_a_raw_body_is_not_said_to_be_json() -> None:
    response = await infer(
        "echo", b"{}", inference_header_content_length="0", content_type="application/json; charset=utf-8"
    )
    assert response.status_code == 400
    assert "application/octet-stream" in response.json()["error"]

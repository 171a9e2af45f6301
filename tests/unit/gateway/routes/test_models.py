from __future__ import annotations

import base64
import json
from typing import Any

import httpx
import pytest

from tests.support.catalogs import catalog, version
from tests.support.gateways import Stages, client, services
from tests.support.hops import FakeHop, vector
from trireme_common.stage_state import State
from trireme_gateway.catalog import Catalog

GOOD = {"label": "正面", "confidence": 0.75, "probabilities": {"负面": 0.25, "正面": 0.75}}


async def post(
    path: str, body: Any, made: Any = None, content_type: str = "application/json"
) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    async with client(made) as http:
        return await http.post(f"/v1/models/{path}", content=content, headers={"content-type": content_type})


async def get(path: str, found: Catalog | None = None) -> httpx.Response:
    async with client(services(found=found)) as http:
        return await http.get(f"/v1/models{path}")


async def test_the_list() -> None:
    names = ["a", "b"]
    found = catalog("a", "b", version("c", found=State.LOADING))
    expected = {
        "object": "list",
        "data": [{"id": name, "object": "model"} for name in names],
        "models": names,
    }
    assert (await get("", found)).json() == expected


async def test_one_model() -> None:
    found = catalog(
        version("a", "1"), version("a", "2"), version("bad", found=State.UNAVAILABLE, reason="why")
    )
    assert (await get("/a", found)).json() == {
        "name": "a",
        "ready": True,
        "versions": ["1", "2"],
        "task": "text-classification",
    }
    bad = (await get("/bad", found)).json()
    assert (bad["name"], bad["ready"], bad["versions"]) == ("bad", False, [])
    assert (await get("/a.inference", found)).json()["task"] == "tensor"
    gone = await get("/gone", found)
    assert gone.status_code == 404
    assert gone.json()["code"] == "model_not_found"


async def test_predict_by_task() -> None:
    response = await post("sentiment-zh:predict", {"instances": ["好", "差"]})
    assert response.json()["predictions"][0] == GOOD
    assert len(response.json()["predictions"]) == 2
    picture = base64.b64encode("好".encode()).decode()
    (found,) = (await post("digits:predict", {"instances": [{"b64": picture}]})).json()["predictions"]
    assert found == {**GOOD, "predicted_class": 1, "all_predictions": GOOD["probabilities"]}
    response = await post("tabular:predict", {"instances": [[1, 2], [3, 4.5]]})
    assert response.json() == {"predictions": [3, 7.5]}


async def test_embeddings_are_lists() -> None:
    made = services(Stages(postprocess=FakeHop(lambda _: vector([1.5, 2]))))
    assert (await post("minilm:predict", {"instances": ["a"]}, made)).json() == {"predictions": [[1.5, 2]]}


async def test_an_instance_that_fails_fails_alone() -> None:
    response = await post("sentiment-zh:predict", {"instances": ["好", " "]})
    assert response.status_code == 200
    assert response.json()["predictions"][1]["error"]["code"] == "blank_text"
    response = await post("sentiment-zh:predict", {"instances": [" "]})
    assert response.status_code == 400
    assert response.json()["predictions"][0]["error"]["code"] == "blank_text"


@pytest.mark.parametrize(
    ("model", "body"),
    [
        ("sentiment-zh", {"instances": []}),
        ("sentiment-zh", {"instances": "a"}),
        ("sentiment-zh", {"instances": [1]}),
        ("sentiment-zh", {"inputs": ["a"]}),
        ("sentiment-zh", ["a"]),
        ("sentiment-zh", b'{"instances":["a"],"instances":["b"]}'),
        ("digits", {"instances": ["a"]}),
        ("digits", {"instances": [{"b64": "***"}]}),
        ("digits", {"instances": [{"b64": "é"}]}),
        ("digits", {"instances": [{"b64": "aa==", "x": 1}]}),
        ("digits", {"instances": [{"b64": 1}]}),
        ("tabular", {"instances": [1, 2]}),
        ("tabular", {"instances": [[]]}),
        ("tabular", {"instances": [["1"]]}),
        ("tabular", {"instances": [[True]]}),
        ("bare", {"instances": [[1]]}),
        ("sentiment-zh.inference", {"instances": [[1]]}),
    ],
)
async def test_instances_of_the_wrong_shape_fail_the_request(model: str, body: Any) -> None:
    response = await post(f"{model}:predict", body)
    assert response.status_code == 400
    assert response.json()["code"] == "invalid_argument"


async def test_a_version_can_be_named() -> None:
    made = services(found=catalog(version("a", "1"), version("a", "2")))
    assert (await post("a:predict?version=1", {"instances": ["好"]}, made)).headers["x-model-version"] == "1"
    assert (await post("a:predict?version=3", {"instances": ["好"]}, made)).status_code == 404
    assert (await post("b:predict", {"instances": ["好"]}, made)).status_code == 404


@pytest.mark.parametrize(
    ("model", "content_type", "body", "label"),
    [
        ("digits", "image/png", "好".encode(), "正面"),
        ("digits", "application/octet-stream", "差".encode(), "负面"),
        ("sentiment-zh", "text/plain; charset=utf-8", "好".encode(), "正面"),
        ("sentiment-zh", "application/octet-stream", "差".encode(), "负面"),
        ("sentiment-zh", "application/json", '"好"'.encode(), "正面"),
    ],
)
async def test_the_raw_body_is_the_item(model: str, content_type: str, body: bytes, label: str) -> None:
    response = await post(f"{model}/predict", body, content_type=content_type)
    assert response.status_code == 200
    found = response.json()
    assert (found["label"], found["model"], found["version"]) == (label, model, "1")


async def test_raw_numbers() -> None:
    assert (await post("tabular/predict", b"[1, 2]")).json() == {
        "value": 3,
        "model": "tabular",
        "version": "1",
    }


@pytest.mark.parametrize(
    ("model", "content_type", "body", "status"),
    [
        ("digits", "text/plain", b"x", 415),
        ("digits", "application/json", b'"x"', 415),
        ("sentiment-zh", "image/png", b"x", 415),
        ("tabular", "text/plain", b"1", 415),
        ("bare", "application/octet-stream", b"x", 415),
        ("sentiment-zh", "text/plain", b"\xff", 400),
        ("sentiment-zh", "text/plain", b" ", 400),
        ("sentiment-zh", "application/json", b"1", 400),
        ("tabular", "application/json", b"{}", 400),
        ("nobody", "text/plain", b"x", 404),
    ],
)
async def test_a_raw_body_that_the_model_does_not_take(
    model: str, content_type: str, body: bytes, status: int
) -> None:
    response = await post(f"{model}/predict", body, content_type=content_type)
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"


async def test_several_files_answer_each_for_itself() -> None:
    stages = Stages()
    async with client(services(stages)) as http:
        files = [("file", (f"{n}.txt", text.encode())) for n, text in enumerate(["好", " ", "差"])]
        response = await http.post("/v1/models/sentiment-zh/predict", files=files)
        none = await http.post("/v1/models/sentiment-zh/predict", files={}, data={"a": "b"})
    assert response.status_code == 200
    found = response.json()
    assert [item.get("label") for item in found["results"]] == ["正面", None, "负面"]
    assert found["results"][1]["error"]["code"] == "blank_text"
    assert (found["model"], found["version"]) == ("sentiment-zh", "1")
    assert none.status_code in (400, 415)

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest

from tests.support.catalogs import catalog, version
from tests.support.gateways import Stages, client, services
from tests.support.hops import FakeHop
from trireme_common.errors import Code, TriremeError
from trireme_gateway.catalog import Catalog

GOOD = {"label": "正面", "confidence": 0.75, "probabilities": {"负面": 0.25, "正面": 0.75}}
BAD = {"label": "负面", "confidence": 0.75, "probabilities": {"负面": 0.75, "正面": 0.25}}
JSON = {"content-type": "application/json"}


async def post(body: bytes | Any, path: str = "/predict", **made: Any) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    async with client(services(**made)) as http:
        return await http.post(path, content=content, headers=JSON)


async def test_texts() -> None:
    response = await post({"texts": ["很好", "很差"]})
    assert response.status_code == 200
    found = response.json()
    assert found["results"] == [{"text": "很好", **GOOD}, {"text": "很差", **BAD}]
    assert (found["model"], found["version"]) == ("sentiment-zh", "1")
    assert isinstance(found["inference_time"], float)
    assert response.headers["x-model-version"] == "1"
    timing = response.headers["server-timing"]
    assert [part.split(";")[0] for part in timing.split(", ")] == [
        "preprocess",
        "inference",
        "queue",
        "postprocess",
        "total",
    ]


async def test_a_hundred_texts_are_the_most() -> None:
    assert len((await post({"texts": ["好"] * 100})).json()["results"]) == 100


@pytest.mark.parametrize(
    "body",
    [
        {"texts": []},
        {"texts": ["a"] * 101},
        {"texts": ["a", 1]},
        {"texts": ["a", None]},
        {"texts": [["a"]]},
        {"texts": "a"},
        {"texts": {"a": 1}},
        {"texts": None},
        {"texts": ["a"], "data": [1]},
        {"texts": ["a"], "more": 1},
        {"data": []},
        {"data": [1, "2"]},
        {"data": [1, True]},
        {"data": [1, None]},
        {"data": [[1]]},
        {"data": 1},
        {"text": ["a"]},
        {},
        [],
        ["a"],
        "a",
        None,
        b"",
        b"{",
        b'{"data":[NaN]}',
        b'{"data":[Infinity]}',
        b'{"data":[1e400]}',
        b'{"data":[' + b"9" * 400 + b"]}",
        b'{"texts":["a"],"texts":["b"]}',
        b'{"texts":["a"],"t\\u0065xts":["b"]}',
        b'{"texts":["\\ud800"]}',
        b'{"texts":["\xff"]}',
        b"[" * 100_000,
    ],
)
async def test_a_body_of_the_wrong_shape_fails_the_whole_request(body: Any) -> None:
    stages = Stages()
    response = await post(body, stages=stages)
    assert response.status_code == 400
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert problem["detail"]
    assert problem["code"] == "invalid_argument"
    assert problem["request_id"] == response.headers["x-request-id"]
    assert not stages.preprocess.calls


async def test_a_blank_text_among_good_ones_fails_alone() -> None:
    response = await post({"texts": ["好", " \n", "差"]})
    assert response.status_code == 200
    first, blank, last = response.json()["results"]
    assert first == {"text": "好", **GOOD}
    assert blank == {"text": " \n", "error": {"code": "blank_text", "detail": "the text is blank"}}
    assert last == {"text": "差", **BAD}


async def test_all_failed_is_the_status_of_the_first_error_with_all_results() -> None:
    response = await post({"texts": ["", " "]})
    assert response.status_code == 400
    assert [item["error"]["code"] for item in response.json()["results"]] == ["blank_text"] * 2
    overloaded = Stages(inference=FakeHop(lambda _: TriremeError(Code.OVERLOADED, "full")))
    response = await post({"texts": ["a"]}, stages=overloaded)
    assert response.status_code == 503
    assert response.headers["retry-after"]
    assert response.json()["results"][0]["error"]["code"] == "overloaded"


async def test_numbers() -> None:
    response = await post({"data": [1, 2.5, -3]})
    assert response.status_code == 200
    found = response.json()
    assert found["result"] == 0.5
    assert (found["model"], found["version"]) == ("tabular", "1")


async def test_numbers_that_cannot_be_used_are_a_problem() -> None:
    stages = Stages(preprocess=FakeHop(lambda _: TriremeError(Code.NON_FINITE_NUMBER, "not finite")))
    response = await post({"data": [1]}, stages=stages)
    assert response.status_code == 400
    assert response.json()["code"] == "non_finite_number"


async def test_a_picture() -> None:
    async with client() as http:
        response = await http.post("/predict", files={"file": ("a.png", "好".encode(), "image/png")})
    assert response.status_code == 200
    found = response.json()
    assert found["predicted_class"] == 1
    assert found["all_predictions"] == found["probabilities"] == GOOD["probabilities"]
    assert (found["label"], found["model"], found["version"]) == ("正面", "digits", "1")


@pytest.mark.parametrize(
    "sent",
    [
        {"files": {"image": ("a.png", b"x")}},
        {"files": [("file", ("a.png", b"x")), ("file", ("b.png", b"y"))]},
        {"data": {"file": "text"}, "files": {"other": ("a", b"x")}},
        {"content": b"--x\r\n", "headers": {"content-type": "multipart/form-data; boundary=x"}},
        {"content": b"", "headers": {"content-type": "multipart/form-data"}},
        {"content": b"garbage", "headers": {"content-type": "multipart/form-data; boundary=x"}},
    ],
)
async def test_a_form_without_just_one_file_is_refused(sent: dict[str, Any]) -> None:
    async with client() as http:
        response = await http.post("/predict", **sent)
    assert response.status_code == 400
    assert response.headers["content-type"] == "application/problem+json"


async def test_another_model_by_name_and_version() -> None:
    found = catalog("a", version("b", "1"), version("b", "2"))
    for query, name, number in (("model=b", "b", "2"), ("model=b&version=1", "b", "1")):
        response = await post({"texts": ["好"]}, f"/predict?{query}", found=found)
        assert (response.json()["model"], response.json()["version"]) == (name, number)
    response = await post({"texts": ["好"]}, "/predict?version=1", found=catalog("a"))
    assert response.json()["version"] == "1"
    response = await post({"texts": ["好"]}, "/predict?model=minilm")
    assert response.status_code == 200


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("model=nobody", 404, "model_not_found"),
        ("model=sentiment-zh&version=9", 404, "model_not_found"),
        ("version=9", 404, "model_not_found"),
        ("model=digits", 400, "invalid_argument"),
        ("model=sentiment-zh.inference", 400, "invalid_argument"),
        ("model=bare", 400, "invalid_argument"),
    ],
)
async def test_a_model_that_cannot_answer_texts(query: str, status: int, code: str) -> None:
    response = await post({"texts": ["a"]}, f"/predict?{query}")
    assert (response.status_code, response.json()["code"]) == (status, code)


async def test_several_models_of_a_kind_need_a_choice() -> None:
    response = await post({"texts": ["a"]}, found=catalog("a", "b"))
    assert response.status_code == 400
    assert "a, b" in response.json()["detail"]
    response = await post({"texts": ["a"]}, found=catalog("a", "b"), default_text_model="b")
    assert response.json()["model"] == "b"
    response = await post({"texts": ["a"]}, default_text_model="digits")
    assert response.status_code == 400


async def test_until_a_model_is_routable_it_is_503() -> None:
    response = await post({"texts": ["a"]}, found=Catalog())
    assert response.status_code == 503
    assert response.headers["retry-after"]
    assert response.json()["code"] == "model_not_ready"


async def test_no_backend_is_503_with_retry_after() -> None:
    stages = Stages(inference=FakeHop(error=TriremeError(Code.BACKEND_UNAVAILABLE, "none")))
    for body in ({"texts": ["a"]}, {"data": [1]}):
        response = await post(body, stages=stages)
        assert response.status_code == 503
        assert response.headers["retry-after"]
        assert "backend_unavailable" in response.text


async def test_time_that_is_up_is_504() -> None:
    stages = Stages()
    stages.inference.gate = asyncio.Event()
    async with client(services(stages)) as http:
        response = await http.post("/predict", json={"texts": ["a"]}, headers={"x-request-timeout-ms": "20"})
    assert response.status_code == 504
    assert response.json()["code"] == "deadline_exceeded"


async def test_a_body_beyond_the_limit_is_413() -> None:
    response = await post({"texts": ["x" * 2000]}, max_body_bytes=1024)
    assert response.status_code == 413
    assert response.json()["code"] == "payload_too_large"

    async def unannounced() -> Any:
        for _ in range(20):
            yield b"x" * 100

    async with client(services(max_body_bytes=1024)) as http:
        assert (await http.post("/predict", content=unannounced(), headers=JSON)).status_code == 413


async def test_unknown_routes_and_methods() -> None:
    async with client() as http:
        unknown = await http.get("/nowhere")
        assert unknown.status_code == 404
        assert unknown.headers["content-type"] == "application/problem+json"
        assert unknown.json()["code"] == "not_found"
        assert unknown.headers["x-request-id"]
        wrong = await http.get("/predict")
        assert wrong.status_code == 405
        assert wrong.headers["allow"] == "POST"
        assert wrong.json()["code"] == "method_not_allowed"
        under = await http.get("/v2/nowhere")
        assert under.status_code == 404
        assert list(under.json()) == ["error"]


async def test_cors_by_setting() -> None:
    ask = {"origin": "https://a.example", "access-control-request-method": "POST"}
    async with client() as http:
        assert "access-control-allow-origin" not in (await http.get("/livez", headers=ask)).headers
    async with client(services(cors_origins="https://a.example, https://b.example")) as http:
        assert (await http.options("/predict", headers=ask)).status_code == 200
        answer = await http.get("/livez", headers=ask)
        assert answer.headers["access-control-allow-origin"] == "https://a.example"
        assert answer.headers["x-request-id"]


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/predict", "POST"),
        ("PUT", "/v1/models/m", "GET"),
        ("GET", "/v1/models/m:predict", None),  # a model of that name is asked for
        ("PUT", "/v1/models/m:predict", "POST"),
        ("PUT", "/v2/models/m/infer", "POST"),
        ("PUT", "/v2/repository/models/m/rollback", "DELETE, POST"),
        ("PUT", "/", "GET, HEAD"),
    ],
)
async def test_a_refused_method_names_all_that_are_allowed(
    method: str, path: str, allowed: str | None
) -> None:
    async with client() as http:
        assert (await http.request(method, path)).headers.get("allow") == allowed

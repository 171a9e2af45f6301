"""The raw branch answers what FastAPI would answer, and only routes that FastAPI documents."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from tests.support.gateways import services
from trireme_gateway.app import create_api, create_app
from trireme_gateway.hot_routes import find
from trireme_gateway.middleware import AccessLog, RequestMiddleware

JSON = {"content-type": "application/json"}
PATHS = {
    "/predict": "/predict",
    "/predict/batch": "/predict/batch",
    "/v1/models/m:predict": "/v1/models/{model}:predict",
    "/v1/models/m/predict": "/v1/models/{model}/predict",
    "/v2/models/m/infer": "/v2/models/{model}/infer",
    "/v2/models/m/versions/1/infer": "/v2/models/{model}/versions/{version}/infer",
}


@pytest.mark.parametrize(("path", "template"), PATHS.items())
def test_hot_templates_are_documented_posts(path: str, template: str) -> None:
    route = find(path)
    assert route is not None
    assert route.template == template
    documented = create_api(services()).openapi()["paths"][template]["post"]
    named = {parameter["name"] for parameter in documented.get("parameters", ())}
    assert route.arguments.keys() - {"version"} <= named


ORDINARY = [
    "/",
    "/predict/",
    "/predictx",
    "/v1/models",
    "/v1/models/m",
    "/v1/models/:predict",
    "/v1/models//predict",
    "/v1/models/a/b:predict",
    "/v2",
    "/v2/models/m",
    "/v2/models//infer",
    "/v2/models/m/versions//infer",
    "/v2/models/m/infer/",
    "/health",
]


@pytest.mark.parametrize("path", ORDINARY)
def test_everything_else_is_fastapis(path: str) -> None:
    assert find(path) is None


BODIES: list[tuple[str, bytes, dict[str, str]]] = [
    ("/predict", b'{"texts": ["good", " "]}', JSON),
    ("/predict?model=nobody", b'{"texts": ["good"]}', JSON),
    ("/predict", b'{"data": [1, 2, 3]}', JSON),
    ("/predict", b"{", JSON),
    ("/predict", b"\xff", {}),
    ("/predict/batch", b'{"texts": ["a", "b"]}', {**JSON, "accept": "application/json"}),
    ("/v1/models/nobody:predict", b'{"instances": ["a"]}', JSON),
    ("/v1/models/nobody/predict", b"a", {"content-type": "text/plain"}),
    ("/v2/models/nobody/infer", b'{"inputs": []}', JSON),
    ("/v2/models/nobody/versions/3/infer", b"x", {}),
]


@pytest.mark.parametrize(("path", "body", "headers"), BODIES)
async def test_both_ways_answer_the_same(path: str, body: bytes, headers: dict[str, str]) -> None:
    made = services()
    ordinary = RequestMiddleware(
        create_api(made), timeout_seconds=5, access_log=AccessLog(), draining=made.draining.closing
    )
    hot_answer = await ask(create_app(made, AccessLog()), path, body, headers)
    ordinary_answer = await ask(ordinary, path, body, headers)
    assert hot_answer == ordinary_answer


async def ask(app: Any, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, Any, set[str]]:
    """Status, body without what differs between any two requests, and the names of the headers."""
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=True)
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
        answer = await client.post(path, content=body, headers={**headers, "x-request-id": "r"})
    content = json.loads(answer.text)
    content.pop("inference_time", None)
    return answer.status_code, content, set(answer.headers)

from __future__ import annotations

import json

import pytest

from trireme_common.errors import Code, TriremeError
from trireme_gateway.errors import error_response, is_protocol_path

GONE = TriremeError(Code.BACKEND_UNAVAILABLE, "no endpoint")


def test_own_routes_answer_problem_json() -> None:
    response = error_response("/predict", GONE, "r1", {"allow": "GET"})
    assert response.status_code == 503
    assert response.media_type == "application/problem+json"
    assert json.loads(bytes(response.body)) == {
        "type": "about:blank",
        "title": "Backend unavailable",
        "status": 503,
        "detail": "no endpoint",
        "code": "backend_unavailable",
        "request_id": "r1",
    }
    assert response.headers["retry-after"] == "1"
    assert response.headers["allow"] == "GET"


def test_protocol_routes_answer_in_the_protocols_shape() -> None:
    response = error_response("/v2/models/x", GONE, "r1")
    assert response.media_type == "application/json"
    assert json.loads(bytes(response.body)) == {"error": "no endpoint"}
    assert response.headers["retry-after"] == "1"


@pytest.mark.parametrize(
    ("path", "expected"), [("/v2", True), ("/v2/", True), ("/v2/x", True), ("/v22", False), ("/v1/v2", False)]
)
def test_what_belongs_to_the_protocol(path: str, expected: bool) -> None:
    assert is_protocol_path(path) is expected


def test_only_those_who_may_come_back_are_told_when() -> None:
    for code in Code:
        response = error_response("/predict", TriremeError(code, "d"), "r")
        assert ("retry-after" in response.headers) == (response.status_code in (429, 503))

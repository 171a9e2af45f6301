"""/v2/repository over endpoints that obey: shapes and statuses as Triton's clients expect them."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from tests.support.fleets import Fleet
from tests.support.gateways import client, services


async def ask(fleet: Fleet, method: str, path: str, **arguments: Any) -> httpx.Response:
    made = services(found=fleet.catalog, repository=fleet.repository)
    async with client(made) as http:
        return await http.request(method, f"/v2/repository/{path}", **arguments)


@pytest.mark.parametrize("content", [b"", b"{}", b'{"parameters": {"unload_dependents": false}}'])
async def test_unload_and_load_answer_empty_objects(content: bytes) -> None:
    fleet = Fleet()
    unloaded = await ask(fleet, "POST", "models/m/unload", content=content)
    assert (unloaded.status_code, unloaded.json()) == (200, {})
    index = (await ask(fleet, "POST", "index")).json()
    assert index == [
        {"name": "m", "version": number, "state": "UNAVAILABLE", "reason": "unloaded"} for number in "123"
    ]
    assert (await ask(fleet, "POST", "index", json={"ready": True})).json() == []
    loaded = await ask(fleet, "POST", "models/m/load", content=b"" if not content else b"{}")
    assert (loaded.status_code, loaded.json()) == (200, {})
    index = (await ask(fleet, "POST", "index", json={"ready": True})).json()
    assert index == [{"name": "m", "version": "3", "state": "READY", "reason": ""}]


@pytest.mark.parametrize(
    ("body", "expected"), [(None, "2"), ({}, "2"), ({"version": "1"}, "1"), ({"version": 1}, "1")]
)
async def test_rollback_answers_the_version_and_delete_lifts_it(body: Any, expected: str) -> None:
    fleet = Fleet()
    back = await ask(fleet, "POST", "models/m/rollback", json=body)
    assert (back.status_code, back.json()) == (200, {"name": "m", "version": expected})
    assert fleet.default() == expected
    lifted = await ask(fleet, "DELETE", "models/m/rollback")
    assert (lifted.status_code, lifted.json()) == (200, {"name": "m", "version": "3"})


@pytest.mark.parametrize(
    ("path", "body", "status", "said"),
    [
        ("models/nobody/load", {}, 404, "unknown model 'nobody'"),
        ("models/nobody/unload", {}, 404, "unknown model 'nobody'"),
        ("models/nobody/rollback", {}, 404, "unknown model 'nobody'"),
        ("models/m/rollback", {"version": "9"}, 404, "in the repository: 1, 2, 3"),
        ("models/m/rollback", {"version": True}, 400, '{"version": "N"}'),
        ("models/m/rollback", {"to": "1"}, 400, '{"version": "N"}'),
        ("models/m/load", [], 400, "must be a JSON object"),
        ("models/m/load", {"parameters": []}, 400, "'parameters' must be an object"),
        ("models/m/load", {"parameters": {"config": "{}"}}, 400, "this gateway takes no 'config'"),
        ("models/m/load", {"parameters": {"force": True}}, 400, "no parameter 'force'"),
        ("models/m/unload", {"parameters": {"force": True}}, 400, "no parameter 'force'"),
    ],
)
async def test_what_cannot_be_done_is_an_error_in_tritons_shape(
    path: str, body: Any, status: int, said: str
) -> None:
    answer = await ask(Fleet(), "POST", path, json=body)
    assert answer.status_code == status
    assert set(answer.json()) == {"error"}
    assert said in answer.json()["error"]


async def test_a_model_that_is_unloaded_is_not_ready_and_does_not_degrade_the_platform() -> None:
    fleet = Fleet()
    await ask(fleet, "POST", "models/m/unload")
    async with client(services(found=fleet.catalog, repository=fleet.repository)) as http:
        refused = await http.post("/v1/models/m:predict", json={"instances": ["x"]})
        assert (refused.status_code, refused.json()["code"]) == (503, "model_not_ready")
        assert "/v2/repository/models/m/load" in refused.json()["detail"]
        assert (await http.get("/v2/models/m/ready")).status_code == 503
        assert (await http.get("/readyz")).status_code == 200
        health = (await http.get("/health")).json()
        assert health["status"] == "healthy"
        assert health["models"]["m"] == {"state": "UNAVAILABLE", "version": "", "reason": "unloaded"}


async def test_the_routes_are_documented() -> None:
    async with client() as http:
        document = (await http.get("/openapi.json")).json()
    paths = document["paths"]
    assert set(paths["/v2/repository/models/{model}/rollback"]) == {"post", "delete"}
    for path in ("load", "unload", "rollback"):
        operation = paths[f"/v2/repository/models/{{model}}/{path}"]["post"]
        assert "422" not in operation["responses"]
        json.dumps(operation["requestBody"]["content"]["application/json"]["schema"])


@pytest.mark.parametrize("value", [None, {}, "true", 1])
async def test_unload_dependents_is_true_or_false(value: Any) -> None:
    fleet = Fleet()
    refused = await ask(fleet, "POST", "models/m/unload", json={"parameters": {"unload_dependents": value}})
    assert (refused.status_code, "unload_dependents" in refused.json()["error"]) == (400, True)
    assert (await ask(fleet, "POST", "index", json={"ready": True})).json() != []

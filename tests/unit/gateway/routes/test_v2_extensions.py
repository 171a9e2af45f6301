from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.gateways import client, services
from trireme_gateway.extensions.bootstrap import Extensions
from trireme_gateway.extensions.region_desk import RegionDesk
from trireme_gateway.extensions.region_files import RegionFiles
from trireme_gateway.services import Services

SYSTEM, CUDA = "/v2/systemsharedmemory", "/v2/cudasharedmemory"


def with_memory(folder: Path) -> Services:
    (folder / "memory").write_bytes(b"0123456789")
    regions = RegionDesk(enabled=True, files=RegionFiles(folder))
    return replace(services(), extensions=Extensions(regions=regions))


async def test_log_settings_are_answered_and_changed() -> None:
    async with client() as http:
        before = await http.get("/v2/logging")
        assert before.json() == {
            "log_file": "",
            "log_info": True,
            "log_warning": True,
            "log_error": True,
            "log_verbose_level": 0,
            "log_format": "default",
        }
        changed = await http.post("/v2/logging", json={"log_verbose_level": 3, "log_info": False})
        assert changed.status_code == 200
        assert changed.json() == {**before.json(), "log_verbose_level": 3, "log_info": False}
        assert (await http.get("/v2/logging")).json() == changed.json()
        assert (await http.post("/v2/logging")).json() == changed.json()


async def test_trace_settings_are_answered_and_changed_for_all_models_and_for_one() -> None:
    async with client() as http:
        everyone = "/v2/trace/setting"
        one = "/v2/models/sentiment-zh/trace/setting"
        before = await http.get(everyone)
        assert before.json() == {
            "trace_file": "",
            "trace_level": ["OFF"],
            "trace_rate": "1",
            "trace_count": "-1",
            "log_frequency": "0",
            "trace_mode": "opentelemetry",
        }
        await http.post(everyone, json={"trace_rate": "500"})
        changed = await http.post(one, json={"trace_rate": "7", "trace_level": ["TIMESTAMPS"]})
        assert changed.json() == {**before.json(), "trace_rate": "7", "trace_level": ["TIMESTAMPS"]}
        assert (await http.get(one)).json() == changed.json()
        assert (await http.get("/v2/models/sentiment-zh.inference/trace/setting")).json() == changed.json()
        assert (await http.get(everyone)).json() == {**before.json(), "trace_rate": "500"}
        cleared = await http.post(one, json={"trace_rate": None, "trace_level": None})
        assert cleared.json() == {**before.json(), "trace_rate": "500"}


async def test_regions_are_registered_and_unregistered(tmp_path: Path) -> None:
    async with client(with_memory(tmp_path)) as http:
        body = {"key": "/memory", "byte_size": 4}
        assert (await http.post(f"{SYSTEM}/region/a/register", json=body)).status_code == 200
        answer = await http.post(f"{SYSTEM}/region/b/register", json={**body, "offset": 6})
        assert (answer.status_code, answer.json()) == (200, {})
        b = {"name": "b", "key": "/memory", "offset": 6, "byte_size": 4}
        assert (await http.get(f"{SYSTEM}/region/b/status")).json() == [b]
        assert [found["name"] for found in (await http.get(f"{SYSTEM}/status")).json()] == ["a", "b"]
        assert (await http.post(f"{SYSTEM}/region/a/unregister")).status_code == 200
        assert (await http.get(f"{SYSTEM}/status")).json() == [b]
        assert (await http.post(f"{SYSTEM}/unregister")).status_code == 200
        assert (await http.get(f"{SYSTEM}/status")).json() == []


async def test_cuda_memory_is_never_there() -> None:
    async with client() as http:
        assert (await http.get(f"{CUDA}/status")).json() == []
        for path in ("unregister", "region/a/unregister"):
            assert (await http.post(f"{CUDA}/{path}")).status_code == 200
        body = {"raw_handle": {"b64": "AA=="}, "device_id": 0, "byte_size": 4}
        refused = await http.post(f"{CUDA}/region/a/register", json=body)
        assert refused.status_code == 400
        assert "CUDA shared memory is not supported" in refused.json()["error"]


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "said"),
    [
        ("POST", "/v2/logging", [], 400, "must be a JSON object"),
        ("POST", "/v2/logging", {"log_info": 1}, 400, "expect boolean for 'log_info'"),
        ("POST", "/v2/logging", {"log_file": "x"}, 400, "log file location can not be updated"),
        ("PUT", "/v2/logging", {}, 405, "PUT is not allowed"),
        ("POST", "/v2/trace/setting", {"trace_rate": "x"}, 400, "Unable to parse 'trace_rate'"),
        ("POST", "/v2/trace/setting", {"trace_file": "x"}, 400, "trace file location can not be updated"),
        ("GET", "/v2/models/nobody/trace/setting", None, 404, "unknown model: 'nobody'"),
        ("POST", "/v2/models/nobody/trace/setting", {}, 404, "unknown model: 'nobody'"),
        ("GET", f"{SYSTEM}/region/r/status", None, 404, "Unable to find system shared memory region: 'r'"),
        ("GET", f"{CUDA}/region/r/status", None, 404, "Unable to find cuda shared memory region: 'r'"),
        ("POST", f"{SYSTEM}/region/r/register", {}, 403, "Client shared memory is disabled"),
    ],
)
async def test_errors_have_the_protocols_shape(
    method: str, path: str, body: Any, status: int, said: str
) -> None:
    async with client() as http:
        answer = await http.request(method, path, json=body)
    assert answer.status_code == status
    assert list(answer.json()) == ["error"]
    assert said in answer.json()["error"]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "no 'key' field"),
        ({"key": "/memory"}, "'byte_size' must be a whole number"),
        ({"key": "/memory", "byte_size": 11}, "invalid args; '/memory' has 10 bytes"),
        ({"key": "/nothing", "byte_size": 1}, "Unable to open shared memory region: '/nothing'"),
        ({"key": "/../memory", "byte_size": 1}, "invalid shm key"),
    ],
)
async def test_memory_that_cannot_be_registered(tmp_path: Path, body: Any, said: str) -> None:
    async with client(with_memory(tmp_path)) as http:
        answer = await http.post(f"{SYSTEM}/region/r/register", json=body)
        assert answer.status_code == 400
        assert said in answer.json()["error"]
        assert (await http.get(f"{SYSTEM}/status")).json() == []

from __future__ import annotations

from typing import Any

import pytest

from tests.support.catalogs import catalog, state, version
from tests.support.gateways import client, services
from trireme_common.stage_state import State
from trireme_gateway.catalog import STAGES, Catalog
from trireme_gateway.draining import Draining


async def get(path: str, found: Catalog, draining: Draining | None = None) -> Any:
    async with client(services(found=found, draining=draining)) as http:
        return await http.get(path)


def lost() -> Catalog:
    found = catalog("m")
    found.rebuild({})
    return found


def bad() -> Catalog:
    return catalog("m", version("bad", found=State.UNAVAILABLE, reason="truncated"))


@pytest.mark.parametrize(
    ("found", "status", "loaded"),
    [
        (Catalog(), "loading", False),
        (catalog(version("m", found=State.LOADING)), "loading", False),
        (catalog("m"), "healthy", True),
        (bad(), "degraded", True),
        (lost(), "degraded", False),
    ],
)
async def test_health_is_always_200(found: Catalog, status: str, loaded: bool) -> None:
    response = await get("/health", found)
    assert response.status_code == 200
    health = response.json()
    assert (health["status"], health["model_loaded"]) == (status, loaded)
    assert set(health["stats"]) == {"total_requests", "avg_inference_time", "device"}
    assert isinstance(health["stats"]["total_requests"], int)
    assert set(health["stages"]) == set(STAGES)


async def test_health_shows_every_model() -> None:
    models = (await get("/health", bad())).json()["models"]
    assert models == {
        "bad": {"state": "UNAVAILABLE", "version": "", "reason": "version 1: truncated"},
        "m": {"state": "READY", "version": "1", "reason": ""},
    }


@pytest.mark.parametrize("path", ["/readyz", "/v2/health/ready"])
async def test_readiness(path: str) -> None:
    for found, ready in ((Catalog(), False), (lost(), False), (catalog("m"), True), (bad(), True)):
        response = await get(path, found)
        assert response.status_code == (200 if ready else 503)
        assert response.json()["ready"] is ready
        assert ("retry-after" in response.headers) is not ready


@pytest.mark.parametrize("missing", STAGES)
async def test_not_ready_without_every_stage(missing: str) -> None:
    found = catalog("m")
    found.rebuild({stage: [] if stage == missing else [state("m")] for stage in STAGES})
    assert (await get("/readyz", found)).status_code == 503


async def test_a_draining_gateway_is_alive_and_not_ready() -> None:
    draining = Draining()
    draining.begun = True
    ready = await get("/readyz", catalog("m"), draining)
    assert ready.status_code == 503
    assert ready.headers["connection"] == "close"
    live = await get("/livez", catalog("m"), draining)
    assert (live.status_code, live.json()) == (200, {"live": True})


async def test_metrics_name_what_the_contract_names() -> None:
    made = services()
    async with client(made) as http:
        await http.post("/predict", json={"texts": ["好"]})
        await http.get("/junk-1")
        await http.get("/junk-2")
        response = await http.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain")
    for name in (
        'model_requests_total{endpoint="/predict",status="200"}',
        'model_requests_total{endpoint="unmatched",status="404"}',
        'model_request_duration_seconds_bucket{endpoint="/predict"',
        "model_inference_duration_seconds",
        "model_active_requests 1.0",
        "prediction_confidence",
    ):
        assert name in response.text
    assert "junk" not in response.text

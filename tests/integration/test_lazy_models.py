"""Lazy models, and a memory too small for all of them, behind the REST gateway."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import httpx

from tests.support.platform import platform
from tests.support.stage_process import free_port
from tests.support.times_models import write_times

LAZY = "memory: {lazy: true}\ninstances: {isolation: thread}\n"
EAGER = "instances: {isolation: thread}\n"
PINNED = "memory: {pinned: true}\ninstances: {isolation: thread}\n"


async def sample(client: httpx.AsyncClient, metrics: str, name: str, **labels: str) -> float:
    """Value of one metric of inference; 0 where it has none yet."""
    wanted = {f'{label}="{value}"' for label, value in labels.items()}
    for line in (await client.get(metrics)).text.splitlines():
        found = re.fullmatch(r"(\w+)(?:\{(.*)\})? (\S+)", line)
        if found and found[1] == name and wanted <= set((found[2] or "").split(",")):
            return float(found[3])
    return 0.0


async def test_a_lazy_model_is_loaded_once_by_its_first_requests(tmp_path: Path) -> None:
    models = tmp_path / "models"
    write_times(models, 1, more=LAZY)
    write_times(models, 1, name="eager", more=EAGER)
    port = str(free_port())
    with platform(models, tmp_path, "--redis", "off", TRIREME_INFERENCE_METRICS_PORT=port) as running:
        metrics = f"http://127.0.0.1:{port}/metrics"
        async with httpx.AsyncClient(base_url=running.url, timeout=30) as client:
            assert (await client.get("/health")).json()["models"]["times"]["state"] == "READY"
            assert (await client.get("/v2/models/times.inference")).json()["inputs"][0]["name"] == "x"
            assert await sample(client, metrics, "trireme_model_loads_total", model="eager") == 1
            assert await sample(client, metrics, "trireme_model_loads_total", model="times") == 0
            answers = await asyncio.gather(
                *(client.post("/v1/models/times/predict", json=[number, 0, 0, 0]) for number in range(10))
            )
            assert [answer.json()["values"][0] for answer in answers] == list(range(10))
            assert await sample(client, metrics, "trireme_model_loads_total", model="times") == 1


async def test_models_take_turns_in_a_memory_that_is_too_small_and_pinned_ones_stay(tmp_path: Path) -> None:
    models = tmp_path / "models"
    write_times(models, 1, name="pinned", more=PINNED)
    for name in ("a", "b", "c"):
        write_times(models, 1, name=name, more=EAGER)
    port = str(free_port())
    # What loading adds to the process is not foreseen here, so one model at a time has to do beside the
    # pinned one; the limit is found by asking how much two of them take.
    with platform(models, tmp_path, "--redis", "off", TRIREME_INFERENCE_METRICS_PORT=port) as running:
        metrics = f"http://127.0.0.1:{port}/metrics"
        async with httpx.AsyncClient() as client:
            taken = await sample(client, metrics, "trireme_models_loaded_bytes")
            assert taken > 0
    environment = {
        "TRIREME_INFERENCE_METRICS_PORT": port,
        "TRIREME_INFERENCE_MODELS_MEMORY_BYTES": str(int(taken * 0.75)),
    }
    with platform(models, tmp_path, "--redis", "off", **environment) as running:
        async with httpx.AsyncClient(base_url=running.url, timeout=30) as client:
            for number in range(1, 7):
                for name in ("a", "b", "c", "pinned"):
                    answer = await client.post(f"/v1/models/{name}/predict", json=[number, 0, 0, 0])
                    assert answer.status_code == 200, answer.text
                    assert answer.json()["values"][0] == number
            assert await sample(client, metrics, "trireme_model_evictions_total", model="pinned") == 0
            evicted = [
                await sample(client, metrics, "trireme_model_evictions_total", model=name) for name in "abc"
            ]
            assert sum(evicted) > 0
            assert await sample(client, metrics, "trireme_models_loaded_bytes") <= taken * 0.75

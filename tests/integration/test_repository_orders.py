"""Load, unload and rollback over real processes: every replica, through restarts, until it is lifted."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx

from tests.support.onnx_models import scale
from tests.support.platform import ROOT, Platform, platform
from tests.support.times_models import write_times

_TRITON = """
import sys
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

client = triton.InferenceServerClient(sys.argv[1])
client.load_model("times")
assert client.is_model_ready("times")
states = {model.name: model.state for model in client.get_model_repository_index().models}
assert states == {"times": "READY", "other": "READY"}, states
client.unload_model("times")
assert not client.is_model_ready("times")
for refused in (lambda: client.load_model("nobody"), lambda: client.load_model("times", config="{}")):
    try:
        refused()
    except InferenceServerException as error:
        assert "nobody" in error.message() or "'config'" in error.message(), error
    else:
        raise AssertionError("not refused")
"""
FAST = {"TRIREME_MODELS_POLL_SECONDS": "0.2", "TRIREME_PREPROCESS_DRAIN_SECONDS": "0.1"}


def version_of(running: Platform) -> str:
    answer = running.post("/v1/models/times/predict", json=[1, 0, 0, 0])
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["values"][0] == float(body["version"])
    return str(body["version"])


def order(
    running: Platform, what: str, model: str = "times", method: str = "POST", **body: Any
) -> httpx.Response:
    url = f"{running.url}/v2/repository/models/{model}/{what}"
    return httpx.request(method, url, json=body or None, timeout=30)


def index(running: Platform, **body: Any) -> list[dict[str, str]]:
    found: list[dict[str, str]] = running.post("/v2/repository/index", json=body or None).json()
    return found


def trireme(running: Platform, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "trireme_cli", "models", *arguments, "--url", running.url]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=ROOT)


async def test_a_rollback_reaches_every_replica_and_outlives_them_until_it_is_lifted(tmp_path: Path) -> None:
    models = tmp_path / "models"
    for version in (1, 2, 3):
        write_times(models, version)
    with platform(models, tmp_path, "--replicas", "inference=2", "--redis", "off", **FAST) as running:
        assert version_of(running) == "3"
        answer = order(running, "rollback")
        assert (answer.status_code, answer.json()) == (200, {"name": "times", "version": "2"})
        assert {version_of(running) for _ in range(20)} == {"2"}
        write_times(models, 4)  # a newer one is no reason to leave the version that was put back
        os.kill(running.pids["inference-0"], signal.SIGKILL)
        await asyncio.sleep(1.0)
        assert {version_of(running) for _ in range(20)} == {"2"}
    with platform(models, tmp_path, "--replicas", "inference=2", "--redis", "off", **FAST) as running:
        assert {version_of(running) for _ in range(20)} == {"2"}
        assert "was put back" in running.get("/health").json()["models"]["times"]["reason"]
        lifted = order(running, "rollback", method="DELETE")
        assert (lifted.status_code, lifted.json()) == (200, {"name": "times", "version": "4"})
        assert {version_of(running) for _ in range(20)} == {"4"}


async def test_an_order_that_nothing_on_disk_keeps_comes_back_from_whoever_still_knows_it(
    tmp_path: Path,
) -> None:
    models = tmp_path / "models"
    write_times(models, 1)
    write_times(models, 2)
    nowhere = str(tmp_path / "not-there")
    with platform(models, tmp_path, "--redis", "off", TRIREME_STATE_DIR=nowhere, **FAST) as running:
        assert order(running, "rollback").json() == {"name": "times", "version": "1"}
        assert not (models / ".trireme-orders.json").exists()
        for service in ("inference-0", "gateway"):
            pid = running.pids[service]
            os.kill(pid[0] if isinstance(pid, list) else pid, signal.SIGKILL)
            await until_answered(running)
            assert {version_of(running) for _ in range(10)} == {"1"}
        assert "orders_not_kept" in running.log.read_text()


async def until_answered(running: Platform) -> None:
    """Waits until the platform, of which something was killed, answers again."""
    url = f"{running.url}/v1/models/times/predict"
    async with httpx.AsyncClient() as client, asyncio.timeout(30):
        failed = False
        while True:
            try:
                answered = (await client.post(url, json=[1, 0, 0, 0])).status_code == 200
            except httpx.HTTPError:
                answered = False
            if answered and failed:
                return
            failed = failed or not answered
            await asyncio.sleep(0.02)


def test_load_and_unload_by_command_route_and_tritons_client(tmp_path: Path) -> None:
    models = tmp_path / "models"
    write_times(models, 1)
    write_times(models, 1, name="other")
    with platform(models, tmp_path, "--redis", "off", **FAST) as running:
        unloaded = trireme(running, "unload", "times", "--json")
        assert (unloaded.returncode, json.loads(unloaded.stdout)["state"]) == (0, "UNAVAILABLE")
        entry = {"name": "times", "version": "1", "state": "UNAVAILABLE", "reason": "unloaded"}
        assert entry in index(running)
        assert [model["name"] for model in index(running, ready=True)] == ["other"]
        refused = running.post("/v1/models/times/predict", json=[1, 0, 0, 0])
        assert (refused.status_code, refused.json()["code"]) == (503, "model_not_ready")
        assert running.get("/readyz").status_code == 200
        assert running.get("/health").json()["status"] == "healthy"
        assert order(running, "load").status_code == 200
        assert version_of(running) == "1"
        unloading = order(
            running, "unload", parameters={"unload_dependents": False}
        )  # as Triton's client asks
        assert unloading.status_code == 200
        names = {model["name"]: model["state"] for model in index(running)}
        assert names == {"times": "UNAVAILABLE", "other": "READY"}
        nobody = order(running, "load", "nobody")
        assert nobody.status_code == 404
        assert nobody.json()["error"].startswith("unknown model 'nobody'")
        triton = subprocess.run([sys.executable, "-c", _TRITON, running.grpc], capture_output=True, text=True)
        assert triton.returncode == 0, triton.stderr
        assert running.post("/v1/models/times/predict", json=[1, 0, 0, 0]).status_code == 503
        loaded = trireme(running, "load", "times", "--json")
        assert json.loads(loaded.stdout) == {"name": "times", "state": "READY", "version": "1"}
        assert version_of(running) == "1"
        missing = trireme(running, "load", "nobody")
        assert missing.returncode == 1
        assert "unknown model 'nobody'" in missing.stderr


def test_a_new_and_a_broken_model_are_loaded_when_asked_and_say_why_not(tmp_path: Path) -> None:
    models = tmp_path / "models"
    write_times(models, 1, name="other")
    with platform(models, tmp_path, "--redis", "off", TRIREME_MODELS_POLL_SECONDS="3600") as running:
        write_times(models, 1, b"no model at all")
        broken = order(running, "load")
        assert broken.status_code == 400
        assert "version 1: " in broken.json()["error"]
        (models / "times" / "1" / "model.onnx").write_bytes(scale(1))
        assert order(running, "load").status_code == 200
        assert version_of(running) == "1"
        write_times(models, 2)
        assert order(running, "load").status_code == 200
        assert version_of(running) == "2"
        assert order(running, "rollback", version="7").status_code == 404
        shutil.rmtree(models / "times" / "1")
        assert order(running, "load").status_code == 200
        gone = order(running, "rollback")
        assert gone.status_code == 400
        assert "no good version older than 2" in gone.json()["error"]

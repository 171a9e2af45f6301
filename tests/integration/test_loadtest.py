"""`trireme loadtest` and `trireme models list` as processes against a running platform."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.platform import ROOT, Platform


def trireme(running: Platform, *arguments: str, code: int = 0) -> str:
    """Standard output of a command that must end with `code`."""
    command = [sys.executable, "-m", "trireme_cli", *arguments, "--url", running.url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == code, done.stderr
    return done.stdout


def measured(running: Platform, *arguments: str, code: int = 0) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(trireme(running, "loadtest", *arguments, "--json", code=code))
    return document


@pytest.mark.parametrize(
    ("model", "protocol", "chosen"),
    [
        ("sentiment-zh", "predict", ()),
        ("digits", "predict", ()),
        ("tabular", "v1", ("--protocol", "v1")),
        ("digits", "v2-binary", ("--protocol", "v2-binary")),
        ("sentiment-zh.inference", "v2-binary", ()),
        ("tabular.inference", "v2-json", ("--protocol", "v2-json")),
    ],
)
def test_every_kind_of_model_has_samples(
    running: Platform, model: str, protocol: str, chosen: tuple[str, ...]
) -> None:
    found = measured(running, model, "-n", "30", "-c", "4", "--warm-up", "0", *chosen)
    assert (found["protocol"], found["requests"], found["failed"]) == (protocol, 30, 0)
    assert found["loop"] == "closed"
    assert found["latency_ms"]["p50"] <= found["latency_ms"]["p99"] <= found["latency_ms"]["max"]
    assert found["model_versions"] == {"1": 30}


@pytest.mark.parametrize("model", ["digits", "sentiment-zh.inference"])
def test_over_grpc(running: Platform, model: str) -> None:
    arguments = ("--protocol", "grpc", "--grpc-address", running.grpc, "--warm-up", "0")
    found = measured(running, model, "-n", "30", "-c", "4", *arguments)
    assert (found["protocol"], found["requests"], found["failed"]) == ("grpc", 30, 0)


def test_an_open_loop_with_a_report(running: Platform, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    picture = ROOT / "models" / "digits" / "samples" / "7.png"
    found = measured(
        running, "digits", str(picture), "--rate", "50", "-n", "20", "--warm-up", "0",
        "--no-cache", "--report", str(page),
    )  # fmt: skip
    assert (found["loop"], found["rate"], found["requests"]) == ("open", 50, 20)
    assert found["distinct_requests"] == 1
    assert set(found["x_cache"]) <= {"miss", "coalesced"}
    assert found["server_timing_ms"]["total"] > 0
    assert page.read_text("utf-8").count("<svg") == 4


def test_errors_are_counted_by_kind_and_decide_the_exit_code(running: Platform) -> None:
    asked = ("sentiment-zh", "好", " ", "--text", "-n", "20", "-c", "2", "--warm-up", "0")
    found = measured(running, *asked, code=1)
    assert (found["requests"], found["failed"]) == (20, 10)
    assert found["errors"]["HTTP 400 blank_text"]["count"] == 10
    assert measured(running, *asked, "--max-error-rate", "0.5")["failed"] == 10
    measured(running, *asked, "--max-error-rate", "1", "--p99-ms", "0.0001", code=1)


def test_what_cannot_be_asked_is_said_before_any_load(running: Platform) -> None:
    for arguments in (("no-such-model",), ("sentiment-zh.inference", "--protocol", "v1")):
        command = [sys.executable, "-m", "trireme_cli", "loadtest", *arguments, "--url", running.url]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode in (1, 2)
        assert done.stdout == ""
        assert "Traceback" not in done.stderr


def test_ctrl_c_ends_it_with_what_was_measured(running: Platform) -> None:
    command = [sys.executable, "-m", "trireme_cli", "loadtest", "tabular", "--url", running.url]
    with subprocess.Popen(
        [*command, "--duration", "600", "--warm-up", "0", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stderr is not None
        assert b"closed loop" in process.stderr.readline()
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    document = json.loads(said)
    assert document["stopped_early"] is True
    assert document["failed"] == 0


def test_list_shows_every_version_and_the_endpoints(running: Platform) -> None:
    found = json.loads(trireme(running, "models", "list", "--json"))
    assert found["stages"] == {"preprocess": 1, "inference": 1, "postprocess": 1}
    digits = next(model for model in found["models"] if model["name"] == "digits")
    assert digits["index"] == [{"version": "1", "state": "READY", "reason": ""}]
    assert "endpoints connected: 1 of preprocess" in trireme(running, "models", "list")

"""`trireme up` over fake services: real processes, a real Redis, no models."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest

from tests.support.triton_models import write_triton_model
from tests.unit.cli.running_up import RunningUp

Start = Callable[..., RunningUp]


def _gone(processes: list[psutil.Process]) -> bool:
    _, alive = psutil.wait_procs(processes, timeout=10)
    return not alive


def _listens(url: str) -> bool:
    parts = urlsplit(url)
    with socket.socket() as probe:
        return probe.connect_ex((parts.hostname or "", parts.port or 0)) == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_everything_and_leaves_nothing(start_up: Start, number: signal.Signals) -> None:
    up = start_up()
    ready = up.ready()
    children = up.children()
    assert len(children) == 5
    assert _listens(ready["http"])

    if number is signal.SIGINT:
        os.killpg(up.process.pid, number)
    else:
        up.process.send_signal(number)

    assert up.end() == 0, up.said
    assert _gone(children)
    assert not _listens(ready["http"])
    assert up.left_behind == []


def test_a_hang_up_that_is_ignored_stays_so(start_up: Start) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        up = start_up()
    finally:
        signal.signal(signal.SIGHUP, before)
    up.ready()

    up.process.send_signal(signal.SIGHUP)
    with pytest.raises(subprocess.TimeoutExpired):
        up.process.wait(0.5)


def test_the_ready_line(start_up: Start) -> None:
    up = start_up("--replicas", "inference=2")
    ready = up.ready()

    assert ready["ready"] is True
    assert ready["models"] == {"toy": {"state": "READY", "version": "1", "reason": ""}}
    assert set(ready["pids"]) == {
        "redis",
        "preprocess-0",
        "inference-0",
        "inference-1",
        "postprocess-0",
        "gateway",
    }
    assert isinstance(ready["pids"]["gateway"], list)
    assert ready["redis"].startswith("unix://")
    assert ready["grpc"].startswith("127.0.0.1:")


def test_without_redis(start_up: Start) -> None:
    ready = start_up("--redis", "off").ready()

    assert ready["redis"] is None
    assert "redis" not in ready["pids"]


def test_the_password_of_redis_is_not_shown(start_up: Start) -> None:
    up = start_up("--redis", "redis://user:hunter2@cache.invalid:6379/1")

    assert up.ready()["redis"] == "redis://user:***@cache.invalid:6379/1"
    up.until_said("redis    redis://user:***@cache.invalid:6379/1")
    up.process.send_signal(signal.SIGTERM)
    assert up.end() == 0
    assert "hunter2" not in up.said


def test_a_service_that_is_killed_comes_back_on_its_port(start_up: Start) -> None:
    up = start_up()
    ready = up.ready()
    port = _port_of(ready["pids"]["inference-0"])

    os.kill(ready["pids"]["inference-0"], signal.SIGKILL)

    up.until_said("inference-0 died (SIGKILL); restarting in 0.1 s (restart 1)")
    up.until_said("inference-0 restarted as process")
    deadline = time.monotonic() + 10
    while not _listens(f"tcp://127.0.0.1:{port}"):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_redis_comes_back_too(start_up: Start) -> None:
    up = start_up()
    ready = up.ready()

    os.kill(ready["pids"]["redis"], signal.SIGKILL)

    up.until_said("redis died (SIGKILL)")
    up.until_said("redis restarted as process")


def test_nothing_outlives_a_killed_supervisor(start_up: Start) -> None:
    up = start_up()
    up.ready()
    children = up.children()

    up.process.kill()

    assert _gone(children)


def test_workers_of_a_killed_service_go_with_it(start_up: Start) -> None:
    up = start_up(FAKE_INFERENCE="parent")
    ready = up.ready()
    (worker,) = psutil.Process(ready["pids"]["inference-0"]).children()

    os.kill(ready["pids"]["inference-0"], signal.SIGKILL)

    assert _gone([worker])


def test_a_service_that_refuses_its_settings_ends_everything(start_up: Start) -> None:
    up = start_up(FAKE_INFERENCE="exit=2")
    code = up.end()

    assert code == 1
    assert "fake inference says why it ends" in up.said
    assert "inference-0 refused to start" in up.said
    assert "restarting" not in up.said


def test_a_service_that_never_listens_is_named(start_up: Start) -> None:
    up = start_up("--ready-timeout", "1", FAKE_POSTPROCESS="deaf")

    assert up.end() == 1
    assert "not ready after 1 s" in up.said
    assert "postprocess-0 does not listen yet" in up.said


@pytest.mark.parametrize("wait_seconds", [0.0, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0])
def test_signals_during_the_start(start_up: Start, wait_seconds: float) -> None:
    up = start_up(FAKE_GATEWAY="loading")
    _until_signals_are_taken(up.process.pid)
    time.sleep(wait_seconds)

    up.process.send_signal(signal.SIGINT)

    assert up.end() == 0, up.said
    assert "Traceback" not in up.said
    assert up.left_behind == []


def test_a_second_ctrl_c_kills_what_does_not_end(start_up: Start) -> None:
    up = start_up(FAKE_INFERENCE="stubborn")
    up.ready()
    up.process.send_signal(signal.SIGINT)
    up.until_said("stopping")
    time.sleep(0.7)

    up.process.send_signal(signal.SIGINT)

    assert up.end(10) == 0
    assert "inference-0 killed: at your second request" in up.said


def test_a_bad_model_is_a_warning(start_up: Start) -> None:
    up = start_up(FAKE_GATEWAY="bad")

    assert up.ready()["models"]["broken"]["state"] == "UNAVAILABLE"
    up.until_said("warning: model broken is not served: weights are missing")


def test_a_bad_model_yaml(start_up: Start, repository: Path) -> None:
    (repository / "toy" / "model.yaml").write_text("name: toy\ncolour: red\n")
    up = start_up()

    assert up.end() == 1
    assert "model.yaml, line 2: colour: unknown key" in up.said


def test_a_repository_without_models(start_up: Start, repository: Path) -> None:
    (repository / "toy" / "1" / "model.onnx").unlink()
    up = start_up()

    assert up.end() == 1
    assert "holds no model" in up.said


def test_a_model_of_tritons_that_is_not_served_leaves_the_others(start_up: Start, repository: Path) -> None:
    write_triton_model(repository, "plan", 'backend: "tensorrt"', {1: b""})
    assert start_up().ready()


def test_a_repository_with_nothing_that_is_served(start_up: Start, repository: Path) -> None:
    write_triton_model(repository, "plan", 'backend: "tensorrt"', {1: b""})
    (repository / "toy" / "1" / "model.onnx").unlink()
    up = start_up()

    assert up.end() == 1
    assert "plan: " in up.said
    assert "take the ONNX file it was built from" in up.said


def test_a_port_in_use(start_up: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        up = start_up("--http-port", str(port))
        code = up.end()

    assert code == 1
    assert f"port {port} on 127.0.0.1 is in use by python" in up.said


def _until_signals_are_taken(pid: int) -> None:
    """Python itself needs a moment before any program of it can take a signal."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        status = Path(f"/proc/{pid}/status").read_text()
        caught = next(line.split()[1] for line in status.splitlines() if line.startswith("SigCgt"))
        if int(caught, 16) >> (signal.SIGTERM - 1) & 1:
            return
        time.sleep(0.005)
    raise AssertionError("SIGTERM is never taken")


def _port_of(pid: int) -> int:
    (listening,) = [c for c in psutil.Process(pid).connections() if c.status == psutil.CONN_LISTEN]
    return int(listening.laddr.port)

"""The whole platform as `trireme up` starts it, asked through the command line and over HTTP."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import psutil
import pytest

from tests.unit.cli.running_up import RunningUp

MODELS = Path(__file__).parents[2] / "models"
READY_SECONDS = 90.0
PORTS = ("--http-port", "0", "--grpc-port", "0", "--json")
ROW = [59, 2, 32.1, 101, 157, 93.2, 38, 4, 4.8598, 87]


def _up(*arguments: str) -> RunningUp:
    return RunningUp(("--models", str(MODELS), *PORTS, *arguments), {})


def _trireme(*arguments: str | Path, url: str = "", stdin: str = "") -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "TRIREME_URL": url} if url else dict(os.environ)
    command = [sys.executable, "-m", "trireme_cli", *map(str, arguments)]
    return subprocess.run(
        command, env=environment, input=stdin, capture_output=True, text=True, timeout=60, check=False
    )


def _listens(address: str) -> bool:
    host, port = address.rsplit(":", 1)
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0


@pytest.fixture(scope="module")
def platform() -> Iterator[tuple[RunningUp, dict[str, Any]]]:
    """One platform over the models that ship, for the tests that leave it as it is."""
    up = _up()
    try:
        yield up, up.ready(READY_SECONDS)
    finally:
        up.close()


@pytest.fixture
def url(platform: tuple[RunningUp, dict[str, Any]]) -> str:
    return str(platform[1]["http"])


def test_it_answers(platform: tuple[RunningUp, dict[str, Any]], url: str) -> None:
    ready = platform[1]
    assert {model["state"] for model in ready["models"].values()} == {"READY"}

    answer = httpx.post(f"{url}/predict", json={"texts": ["一般般吧，没什么特别的"]}, trust_env=False)

    assert answer.status_code == 200
    assert answer.json()["results"][0]["label"] == "中性"
    assert _listens(ready["grpc"])


def test_predict_texts(url: str, tmp_path: Path) -> None:
    reviews = tmp_path / "reviews.txt"
    reviews.write_text("很好吃，下次还来\n\n太差了，再也不来\n" * 400, "utf-8")

    done = _trireme("predict", "sentiment-zh", reviews, url=url)

    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0, done.stderr
    assert [line["index"] for line in lines] == list(range(800))
    assert [line["input"] for line in lines[:3]] == [1, 3, 4]
    assert lines[0]["label"] == "正面"
    assert lines[1]["label"] == "负面"
    assert "800 items, 0 failed" in done.stderr


def test_predict_pictures(url: str, tmp_path: Path) -> None:
    pictures = sorted((MODELS / "digits" / "samples").glob("*.png"))
    for picture in pictures:
        shutil.copy(picture, tmp_path)
    (tmp_path / "zz.png").write_bytes(b"no picture")

    done = _trireme("predict", "digits", tmp_path, url=url)

    *good, bad = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 1
    assert [line["label"] for line in good] == [picture.stem for picture in pictures]
    assert bad["input"] == str(tmp_path / "zz.png")
    assert bad["error"]["code"] == "undecodable_image"


def test_predict_rows_as_a_table(url: str, tmp_path: Path) -> None:
    rows, answers = tmp_path / "rows.csv", tmp_path / "answers.csv"
    row = ",".join(map(str, ROW))
    rows.write_text(f"age,sex,bmi,bp,s1,s2,s3,s4,s5,s6\n{row}\n{row}\n", "utf-8")

    done = _trireme("predict", "tabular", rows, "--format", "csv", "--output", answers, url=url)

    assert done.returncode == 0, done.stderr
    header, first, second = answers.read_text("utf-8").splitlines()
    assert header.startswith("index,input,file,value")
    assert float(first.split(",")[3]) == pytest.approx(float(second.split(",")[3]))


def test_predict_numbers_and_standard_input(url: str) -> None:
    numbers = _trireme("predict", "tabular", "--data", ",".join(map(str, ROW)), url=url)
    texts = _trireme("predict", "sentiment-zh", "-", url=url, stdin="很好\n")

    assert json.loads(numbers.stdout)["value"] > 0
    assert json.loads(texts.stdout)["text"] == "很好"


def test_an_unknown_model_lists_those_that_are_there(url: str) -> None:
    done = _trireme("predict", "nope", "x", url=url)

    assert done.returncode == 1
    assert "it serves: digits, sentiment-zh, tabular" in done.stderr


def test_models_list(url: str) -> None:
    done = _trireme("models", "list", "--json", url=url)

    models = json.loads(done.stdout)["models"]
    assert [(model["name"], model["state"]) for model in models] == [
        ("digits", "READY"),
        ("sentiment-zh", "READY"),
        ("tabular", "READY"),
    ]


def test_models_show_and_check() -> None:
    shown = _trireme("models", "show", "sentiment-zh", "--models", MODELS)
    checked = _trireme("models", "check", MODELS, "--json")

    assert "accuracy" in shown.stdout
    report = json.loads(checked.stdout)
    assert checked.returncode == 0, report
    assert report["not_checked"] == {}
    everything = {"model.yaml", "digests", "preprocess", "postprocess", "inference"}
    assert all(set(model["checks"]) == everything for model in report["models"])


def test_check_finds_a_bad_step_and_a_bad_digest(tmp_path: Path) -> None:
    shutil.copytree(MODELS / "tabular", tmp_path / "tabular")
    shutil.copytree(MODELS / "digits", tmp_path / "digits")
    spec = tmp_path / "digits" / "model.yaml"
    spec.write_text(spec.read_text("utf-8").replace("- light_on_dark", "- light_on_darkness"), "utf-8")
    (tmp_path / "tabular" / "1" / "model.onnx").write_bytes(b"tampered with")

    done = _trireme("models", "check", tmp_path)

    assert done.returncode == 1
    said = " ".join(done.stdout.split())  # a table wraps its lines
    assert "unknown preprocess step 'light_on_darkness'" in said
    assert "but model.yaml pins" in said


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_nothing_behind(number: signal.Signals) -> None:
    up = _up("--replicas", "preprocess=2")
    try:
        ready = up.ready(READY_SECONDS)
        children = up.children()
        sockets = _listening(children)
        if number is signal.SIGINT:
            os.killpg(up.process.pid, number)
        else:
            up.process.send_signal(number)
        code = up.end(40)
    finally:
        up.close()

    assert code == 0, up.said
    assert "killed" not in up.said
    assert psutil.wait_procs(children, timeout=5)[1] == []
    assert len(sockets) >= 6
    assert not any(_listens(address) for address in sockets)
    assert not _listens(urlsplit(ready["http"]).netloc)
    assert up.left_behind == []


def _listening(processes: list[psutil.Process]) -> set[str]:
    connections = [connection for process in processes for connection in process.connections("tcp")]
    return {f"{c.laddr.ip}:{c.laddr.port}" for c in connections if c.status == psutil.CONN_LISTEN}


def test_a_killed_stage_comes_back_and_answers() -> None:
    up = _up()
    try:
        ready = up.ready(READY_SECONDS)
        os.kill(ready["pids"]["preprocess-0"], signal.SIGKILL)
        up.until_said("preprocess-0 died (SIGKILL); restarting in")
        up.until_said("preprocess-0 restarted as process")

        assert _answers_again(ready["http"])
    finally:
        up.close()


def _answers_again(url: str) -> bool:
    deadline = time.monotonic() + 40
    while time.monotonic() < deadline:
        # A text the cache has not seen, so that preprocess itself must answer.
        answer = httpx.post(
            f"{url}/predict", json={"texts": [f"很好 {time.time()}"]}, trust_env=False, timeout=30
        )
        if answer.status_code == 200:
            return True
        time.sleep(0.2)
    return False


def test_nothing_outlives_a_killed_supervisor() -> None:
    up = _up()
    try:
        up.ready(READY_SECONDS)
        children = up.children()
        up.process.kill()
        assert psutil.wait_procs(children, timeout=40)[1] == []
    finally:
        up.close()


def test_what_cannot_be_started_says_why(tmp_path: Path) -> None:
    (tmp_path / "models" / "m" / "1").mkdir(parents=True)
    (tmp_path / "models" / "m" / "model.yaml").write_text("name: m\ntask: text-classificaton\n")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        in_use = _trireme("up", "--models", MODELS, "--http-port", port)
    missing = _trireme("up", "--models", tmp_path / "missing")
    bad = _trireme("up", "--models", tmp_path / "models", "--http-port", "0", "--grpc-port", "0")
    exposed = _trireme("up", "--models", MODELS, "--host", "0.0.0.0")

    assert (in_use.returncode, missing.returncode, bad.returncode, exposed.returncode) == (1, 1, 1, 2)
    assert f"port {port} on 127.0.0.1 is in use" in in_use.stderr
    assert "does not exist" in missing.stderr
    assert "model.yaml, line 2: task" in bad.stderr
    assert "--allow-anonymous" in exposed.stderr

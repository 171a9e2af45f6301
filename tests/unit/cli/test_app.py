"""The command line: exit codes and what a person reads."""

import json
from pathlib import Path

import pytest

from trireme_cli.app import run
from trireme_cli.up.ports import PortAllocator


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--version"], 0, "trireme "),
        (["up", "--help"], 0, "--ready-timeout"),
        (["predict", "--help"], 0, "--format"),
        (["models", "check", "--help"], 0, "--json"),
        (["no-such-command"], 2, "No such command"),
        (["up", "--http-port", "70000"], 2, "65535"),
        (["up", "--host", "0.0.0.0"], 2, "--allow-anonymous"),
        (["up", "--replicas", "gateway=2"], 2, "--workers"),
        (["up", "--redis", "maybe"], 2, "embedded, off"),
        (["up", "--models", "/nonexistent/models"], 1, "does not exist"),
        (["predict", "m"], 2, "nothing to predict"),
        (["predict", "m", "x", "--url", "gopher:x"], 2, "is no address"),
        (["loadtest", "--help"], 0, "--max-error-rate"),
        (["loadtest", "m", "--url", "gopher:x"], 2, "is no address"),
        (["loadtest", "m", "--report", "report.pdf"], 2, ".html"),
        (["loadtest", "m", "--header", "no colon"], 2, "NAME:VALUE"),
        (["loadtest", "m", "--header", "Host: elsewhere"], 2, "follows from the request"),
        (["models", "show", "m", "--models", "/nonexistent"], 1, "no model repository"),
        (["models", "check", "/nonexistent"], 1, "no model repository"),
    ],
)
def test_exit_codes(
    arguments: list[str],
    code: int,
    words: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "200")

    assert run(arguments) == code

    said = "".join(capsys.readouterr())
    assert words in said
    assert "Traceback" not in said


def test_nothing_listens(capsys: pytest.CaptureFixture[str]) -> None:
    url = f"http://127.0.0.1:{PortAllocator().free('127.0.0.1')}"

    assert run(["predict", "m", "x", "--url", url]) == 1

    assert f"nothing listens at {url}" in capsys.readouterr().err


@pytest.mark.parametrize("command", [["predict", "m", "x"], ["loadtest", "m"], ["models", "list"]])
@pytest.mark.parametrize("scheme", ["http", "gopher"])
def test_a_password_in_a_url_is_not_shown(
    command: list[str], scheme: str, capsys: pytest.CaptureFixture[str]
) -> None:
    port = PortAllocator().free("127.0.0.1")

    assert run([*command, "--url", f"{scheme}://user:hunter2@127.0.0.1:{port}"]) != 0

    said = "".join(capsys.readouterr())
    assert f"{scheme}://user:***@127.0.0.1:{port}" in said
    assert "hunter2" not in said


def test_a_password_in_what_is_no_redis_is_not_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["up", "--redis", "redis:user:hunter2@cache"]) == 2

    said = "".join(capsys.readouterr())
    assert "redis:***@cache" in said
    assert "hunter2" not in said


def test_list_of_a_repository_as_json(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["models", "list", "--models", str(repository), "--json"]) == 0

    (model,) = json.loads(capsys.readouterr().out)["models"]
    assert model["name"] == "toy"


def test_show_for_people(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (repository / "toy" / "1" / "quality.json").write_text('{"metrics": {"accuracy": 0.91234}}')

    assert run(["models", "show", "toy", "--models", str(repository)]) == 0

    out = capsys.readouterr().out
    assert "metrics.accuracy" in out
    assert "0.9123" in out

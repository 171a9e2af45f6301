"""The repository on disk: list, show and check, with checkers of services that are tiny processes."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.triton_models import write_triton_model
from trireme_cli.failure import Failure
from trireme_cli.models.checkup import Checkup
from trireme_cli.models.render import flatten
from trireme_cli.models.served import connected_stages, served_models
from trireme_cli.models.stage_checks import CheckerFailed, Verdict, is_installed, parse_verdict, run_checker
from trireme_cli.models.stored import describe, read_repository, stored_models
from trireme_cli.platform_client import PlatformClient


def _break(repository: Path) -> None:
    (repository / "bad").mkdir()
    (repository / "bad" / "model.yaml").write_text("name: bad\ncolour: red\n")


def test_list_shows_the_bad_ones_too(repository: Path) -> None:
    _break(repository)

    bad, toy = stored_models(repository)

    assert (bad["name"], bad["state"]) == ("bad", "BAD")
    assert "line 2: colour" in bad["reason"]
    assert (toy["name"], toy["task"], toy["versions"], toy["state"]) == ("toy", "tensor", ["1"], "OK")


def test_show_has_files_and_quality(repository: Path) -> None:
    (repository / "toy" / "1" / "quality.json").write_text('{"seed": 1, "metrics": {"accuracy": 0.9}}')

    model = describe(repository, "toy")

    (version,) = model["versions"]
    assert version["quality"] == {"seed": 1, "metrics": {"accuracy": 0.9}}
    assert {file["name"] for file in version["files"]} == {"model.onnx", "quality.json"}
    assert len(version["digest"]) == 64
    assert flatten(version["quality"]) == [("seed", 1), ("metrics.accuracy", 0.9)]


def test_show_says_what_is_not_honoured(repository: Path) -> None:
    write_triton_model(repository, "theirs", "metric_tags { } novelty: 1", {1: b"w"})

    first, second = describe(repository, "theirs")["notes"]

    assert first == "config.pbtxt: not honoured: metric_tags"
    assert "novelty (line 1)" in second
    assert describe(repository, "toy")["notes"] == []


def test_show_of_a_model_that_is_not_there(repository: Path) -> None:
    with pytest.raises(Failure, match="it holds: toy"):
        describe(repository, "toi")


def test_no_repository(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="TRIREME_MODELS_DIR"):
        read_repository(tmp_path / "missing")


def _checkup(repository: Path) -> Checkup:
    checkup = Checkup(read_repository(repository))
    checkup.check_digests(lambda _: None)
    return checkup


def test_a_digest_that_differs_is_bad(repository: Path) -> None:
    (repository / "toy" / "model.yaml").write_text(f"name: toy\ndigests:\n  1/model.onnx: '{'0' * 64}'\n")

    checkup = _checkup(repository)

    (finding,) = checkup.findings
    assert finding.checks == {"model.yaml": True, "digests": False}
    assert "model.yaml pins" in finding.reasons[0]
    assert not checkup.ok


def test_a_bad_spec_is_bad(repository: Path) -> None:
    _break(repository)

    report = _checkup(repository).report()

    assert report["ok"] is False
    assert [model["ok"] for model in report["models"]] == [False, True]


@pytest.fixture
def checkers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three services whose checking modules the test writes."""
    home = tmp_path / "checkers"
    for stage in ("preprocess", "postprocess", "inference"):
        package = home / f"trireme_{stage}"
        package.mkdir(parents=True)
        (package / "__init__.py").write_text("")
        verdict = {"model": "toy", "version": "1", "ok": True, "reason": ""}
        (package / "check.py").write_text(f"print({json.dumps(verdict)!r})\n")
    monkeypatch.setenv("PYTHONPATH", str(home))
    return home


def _write(checkers: Path, stage: str, source: str) -> None:
    (checkers / f"trireme_{stage}" / "check.py").write_text(source)


def test_verdicts_of_a_service(repository: Path, checkers: Path) -> None:
    assert list(run_checker("inference", repository)) == [Verdict("toy", "1", True)]


def test_other_lines_of_a_checker_are_no_verdicts(repository: Path, checkers: Path) -> None:
    line = '{"model": "toy", "version": 1, "ok": false, "reason": "why"}'
    _write(checkers, "inference", f"print('warming up')\nprint({line!r})\nraise SystemExit(1)\n")

    assert list(run_checker("inference", repository)) == [Verdict("toy", "1", False, "why")]


def test_a_checker_that_breaks_says_its_last_words(repository: Path, checkers: Path) -> None:
    _write(checkers, "inference", "raise RuntimeError('no such library')")

    with pytest.raises(CheckerFailed, match="no such library"):
        list(run_checker("inference", repository))


def test_a_checker_that_breaks_is_no_success(repository: Path, checkers: Path) -> None:
    _write(checkers, "inference", "raise RuntimeError('no such library')")
    checkup = _checkup(repository)

    checkup.check_stages(repository, lambda _: None)

    assert checkup.findings[0].checks == {
        "model.yaml": True,
        "digests": True,
        "preprocess": True,
        "postprocess": True,
    }
    assert "no such library" in checkup.not_checked["inference"]
    assert not checkup.ok


def test_a_service_that_is_not_installed() -> None:
    assert not is_installed("nonexistent")


@pytest.mark.parametrize("line", ["", "text", "1", "[]", '{"model": "m"}', "{"])
def test_lines_that_are_no_verdict(line: str) -> None:
    assert parse_verdict(line) is None


async def test_served_models_have_state_and_reason() -> None:
    answers: dict[str, Any] = {
        "/v2/repository/index": [
            {"name": "a", "version": "2", "state": "READY", "reason": ""},
            {"name": "a", "version": "3", "state": "UNAVAILABLE", "reason": "golden answer differs"},
        ],
        "/v1/models": {"object": "list", "data": [], "models": ["a"]},
        "/v1/models/a": {"name": "a", "ready": True, "versions": ["2"], "task": "tabular"},
        "/health": {
            "stages": {"preprocess": 1, "inference": 2, "postprocess": 1},
            "models": {
                "a": {"state": "READY", "version": "2", "reason": ""},
                "b": {"state": "UNAVAILABLE", "version": "", "reason": "broken"},
            },
        },
    }
    transport = httpx.MockTransport(lambda request: httpx.Response(200, json=answers[request.url.path]))
    async with httpx.AsyncClient(transport=transport) as client:
        models = await served_models(PlatformClient("http://gateway", client))
        stages = await connected_stages(PlatformClient("http://gateway", client))

    assert [(m["name"], m["ready"], m["state"], m["reason"]) for m in models] == [
        ("a", True, "READY", "version 3: golden answer differs"),
        ("b", False, "UNAVAILABLE", "broken"),
    ]
    assert [(v["version"], v["state"]) for v in models[0]["index"]] == [("2", "READY"), ("3", "UNAVAILABLE")]
    assert stages == {"preprocess": 1, "inference": 2, "postprocess": 1}

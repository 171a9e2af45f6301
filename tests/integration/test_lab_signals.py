"""`trireme export` and `trireme optimize` that are stopped leave nothing behind, and exit with 0."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.processes import descendants, eventually, gone
from tests.support.signals import interruptible as interruptible
from tests.support.torch_models import Linear, write_script

pytestmark = pytest.mark.usefixtures("interruptible")

MODELS = Path(__file__).parents[2] / "models"
_SECONDS = 120


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A repository with one model."""
    shutil.copytree(MODELS / "digits", tmp_path / "models" / "digits")
    return tmp_path / "models"


def stopped(
    arguments: list[str], place: Path, when: Callable[[], object], number: signal.Signals
) -> tuple[int, str]:
    """Starts a command, whose temporary files lie in `place`, and signals it once `when` holds; its exit
    code and what it said. Nothing that it started runs on."""
    place.mkdir()
    command = [sys.executable, "-m", "trireme_cli", *arguments]
    environment = {**os.environ, "TMPDIR": str(place)}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as process:
        eventually(lambda: when() or process.poll() is not None, _SECONDS)
        below = descendants(process.pid)
        process.send_signal(number)
        _, said = process.communicate(timeout=_SECONDS)
    eventually(lambda: all(map(gone, below)))
    return process.returncode, said


def test_a_version_that_is_being_checked(models: Path, tmp_path: Path) -> None:
    arguments = [
        "optimize",
        "digits",
        "--models",
        str(models),
        "--variants",
        "fp16",
        "--rounds",
        "1",
        "--publish",
    ]
    before = sorted(path.name for path in (models / "digits").iterdir())

    def is_checked() -> bool:
        return any(models.glob(".draft-*/digits/*/quality.json"))

    code, said = stopped(arguments, tmp_path / "tmp", is_checked, signal.SIGTERM)

    assert (code, said.splitlines()[-1]) == (0, "trireme: stopped; nothing was written")
    assert [path.name for path in models.iterdir()] == ["digits"]
    assert sorted(path.name for path in (models / "digits").iterdir()) == before
    assert list((tmp_path / "tmp").glob("trireme-*")) == []


def test_a_model_that_is_being_exported(tmp_path: Path) -> None:
    source, place = write_script(tmp_path / "linear.pt", Linear()), tmp_path / "tmp"
    into = ["--into", str(tmp_path / "models" / "m"), "--input", "x:FP32:[-1,4]"]

    code, said = stopped(
        ["export", str(source), *into], place, lambda: any(place.glob("trireme-export-*")), signal.SIGINT
    )

    assert (code, said) == (0, "trireme: stopped; nothing was written\n")
    assert not (tmp_path / "models" / "m").exists()
    assert list(place.glob("trireme-*")) == []

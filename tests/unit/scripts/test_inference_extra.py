"""Which ONNX Runtime `make install` takes."""

import subprocess
import sys

import pytest

from scripts.inference_extra import counted_gpus, extra
from tests.support.platform import ROOT


@pytest.mark.parametrize(
    ("gpus", "system", "machine", "expected"),
    [
        (0, "Linux", "x86_64", "cpu"),
        (1, "Linux", "x86_64", "gpu"),
        (8, "Linux", "x86_64", "gpu"),
        (1, "Linux", "aarch64", "cpu"),
        (1, "Windows", "AMD64", "cpu"),
        (0, "Darwin", "arm64", "cpu"),
    ],
)
def test_cuda_is_installed_where_it_can_be_used(gpus: int, system: str, machine: str, expected: str) -> None:
    assert extra(gpus, system, machine) == expected


def test_the_script_runs_before_anything_is_installed() -> None:
    script = ROOT / "scripts" / "inference_extra.py"
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(script)], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() in {"cpu", "gpu"}
    assert counted_gpus() > 0 or done.stdout.strip() == "cpu"


@pytest.mark.parametrize(("choice", "pins"), [("cpu", 1), ("gpu", 2)])
def test_make_takes_the_pins_that_go_with_it(choice: str, pins: int) -> None:
    command = ["make", "-n", "-B", ".venv/run.stamp", f"EXTRA={choice}", "BIN=bin", "VENV=.venv"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    (line,) = [line for line in done.stdout.splitlines() if "services/inference" in line]
    assert f"./services/inference[{choice}]" in line
    assert line.count("-c constraints") == pins

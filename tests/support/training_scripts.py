"""The scripts that train the models that ship, run as a person would run them."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.support.platform import ROOT

_LOWEST_PRIORITY = 19


class TrainingScript:
    """One that runs, in a process of the lowest priority."""

    def __init__(self, model: str, directory: Path) -> None:
        self._output = directory / model
        self._said = directory / f"{model}.log"
        command = [sys.executable, str(ROOT / "models" / model / "train.py"), "--output", str(self._output)]
        with self._said.open("wb") as said:
            self._process = subprocess.Popen(command, stdout=said, stderr=said)
        os.setpriority(os.PRIO_PROCESS, self._process.pid, _LOWEST_PRIORITY)

    def output(self) -> Path:
        """The model's folder, once the script has ended well."""
        assert self._process.wait() == 0, self._said.read_text("utf-8")
        return self._output

    def stop(self) -> None:
        """Ends it, wherever it is."""
        self._process.kill()
        self._process.wait()


class TrainingScripts:
    """Several side by side, because each of them works on one core."""

    def __init__(self, *models: str) -> None:
        self._directory = tempfile.TemporaryDirectory(prefix="trained-")
        self._scripts = {model: TrainingScript(model, Path(self._directory.name)) for model in models}

    def output(self, model: str) -> Path:
        """The model's folder, once its script has ended well."""
        return self._scripts[model].output()

    def stop(self) -> None:
        """Ends them all, and removes what they wrote."""
        for script in self._scripts.values():
            script.stop()
        self._directory.cleanup()

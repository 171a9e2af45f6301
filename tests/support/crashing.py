"""A backend that does, in its worker process, what a broken native runtime does. Opened by name there."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from trireme_common.errors import SpecError
from trireme_common.stage_state import TensorInfo
from trireme_common.tensors import Array
from trireme_inference.backend import OpenOptions, RunError
from trireme_inference.device_errors import run_error

SEGFAULTS = -666.0
"""A value on which the process dies of SIGSEGV."""
FAILS = -1.0
HANGS = -2.0
KILLED_ONCE = -3.0
"""A value on which the process is killed if a file `kill` lies beside the model, which it takes away."""
WAITS = -4.0
"""A value on which the run says its process id in a file `running`, and goes on once that is gone."""
BREAKS = -7.0
"""A value that breaks the device: this run and all later ones of the process fail of it."""
DEVICE_FAILS = -8.0
"""A value on which the device fails this run alone."""
WIDE = -5.0
"""A value whose rows are answered a thousand times as wide."""


class Doubler:
    """y = 2x, but for the values above."""

    platform = "fake"
    inputs = (TensorInfo("x", "FP32", (-1, -1)),)
    outputs = (TensorInfo("y", "FP32", (-1, -1)),)

    def __init__(self, directory: Path, device: str) -> None:
        self._directory = directory
        self.device = device
        self._broken = False

    def run(self, feed: Mapping[str, Array], fetch: tuple[str, ...]) -> list[Array]:
        x = feed["x"]
        if (x == SEGFAULTS).any():
            os.kill(os.getpid(), signal.SIGSEGV)
        if (x == KILLED_ONCE).any() and (self._directory / "kill").exists():
            (self._directory / "kill").unlink()
            os.kill(os.getpid(), signal.SIGKILL)
        if (x == FAILS).any():
            raise RunError("a value that this model dislikes")
        self._broken |= bool((x == BREAKS).any())
        if self._broken or (x == DEVICE_FAILS).any():
            raise run_error(RuntimeError("CUDA error: an illegal memory access"), "the model failed")
        if (x == HANGS).any():
            time.sleep(600)
        if (x == WAITS).any():
            self._wait()
        return [np.tile(x, 1000) if (x == WIDE).any() else x * 2]

    def _wait(self) -> None:
        running = self._directory / "running"
        running.write_text(str(os.getpid()))
        while running.exists():
            time.sleep(0.005)

    def close(self) -> None:
        pass


def open_doubler(directory: Path, options: OpenOptions) -> Doubler:
    """Opens, unless a file `refuse` or `die` says otherwise. A file `devices` beside it has its device."""
    if (directory / "refuse").exists():
        raise SpecError("this model is refused")
    if (directory / "die").exists():
        os.kill(os.getpid(), signal.SIGSEGV)
    if (directory.parent / "devices").exists():
        with (directory.parent / "devices").open("a") as devices:
            devices.write(f"{options.device}\n")
    return Doubler(directory, options.device)


class Recluse(Doubler):
    """A Doubler whose process dies of two rows."""

    def run(self, feed: Mapping[str, Array], fetch: tuple[str, ...]) -> list[Array]:
        if len(feed["x"]) > 1:
            os.kill(os.getpid(), signal.SIGSEGV)
        return super().run(feed, fetch)


def open_recluse(directory: Path, options: OpenOptions) -> Recluse:
    return Recluse(directory, options.device)


class OneRow(Doubler):
    """A Doubler of integers that are rows of a table of one: any other than 0 breaks the device."""

    inputs = (TensorInfo("x", "INT32", (-1, 4)),)
    outputs = (TensorInfo("y", "INT32", (-1, 4)),)

    def run(self, feed: Mapping[str, Array], fetch: tuple[str, ...]) -> list[Array]:
        self._broken |= bool(feed["x"].any())
        return super().run(feed, fetch)


def open_one_row(directory: Path, options: OpenOptions) -> OneRow:
    return OneRow(directory, options.device)


def open_echo(directory: Path, options: OpenOptions) -> Echo:
    return Echo()


class Echo:
    """Every output is the input of the same place, whatever its datatype."""

    platform = "fake"
    device = "cpu"
    inputs = outputs = tuple(
        TensorInfo(datatype.lower(), datatype, (-1,))
        for datatype in ("BOOL", "UINT8", "INT64", "FP16", "FP64", "BYTES")
    )

    def run(self, feed: Mapping[str, Array], fetch: tuple[str, ...]) -> list[Array]:
        return [feed[name] for name in fetch]

    def close(self) -> None:
        pass

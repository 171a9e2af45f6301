"""Fakes of the scheduler's ports."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from trireme_common.errors import Code
from trireme_common.stage_state import TensorInfo
from trireme_common.tensors import Array
from trireme_inference.backend import RunError
from trireme_inference.observer import BatchReport, Served
from trireme_inference.requests import Answer, Request
from trireme_inference.signature import Signature

INPUTS = (TensorInfo("x", "FP32", (-1, -1)),)
OUTPUTS = (TensorInfo("y", "FP32", (-1, -1)),)
SIGNATURE = Signature(INPUTS, OUTPUTS)
POISON = -1.0


class FakeBackend:
    """y = 2x. A batch that holds POISON fails. `gate`, where given, holds every run until it is set."""

    platform = "fake"
    device = "cpu"
    inputs = INPUTS
    outputs = OUTPUTS

    def __init__(self, gate: threading.Event | None = None) -> None:
        self.gate = gate
        self.runs: list[Array] = []
        self.started = threading.Event()
        self.closed = False

    def run(self, feed: Mapping[str, Array], fetch: tuple[str, ...]) -> list[Array]:
        self.runs.append(feed["x"])
        self.started.set()
        if self.gate is not None:
            self.gate.wait(10)
        if (feed["x"] == POISON).any():
            raise RunError("the model failed on this input")
        return [feed["x"] * 2]

    def close(self) -> None:
        self.closed = True


@dataclass
class FakeCaller:
    cancelled: bool = False


class Inbox:
    """A sink that keeps answers in the order and grouping in which they came."""

    def __init__(self) -> None:
        self.calls: list[Sequence[Answer]] = []

    def deliver(self, answers: Sequence[Answer]) -> None:
        self.calls.append(answers)

    @property
    def answers(self) -> list[Answer]:
        return [answer for call in self.calls for answer in call]

    @property
    def codes(self) -> list[Code | None]:
        return [None if answer.error is None else answer.error.code for answer in self.answers]

    def values(self, request: Request) -> Array:
        """Output of the one answer to `request`."""
        (answer,) = [answer for answer in self.answers if answer.request is request]
        if answer.error is not None:
            raise answer.error
        return np.frombuffer(bytes(answer.parts[0]), np.float32).reshape(answer.shapes[0])


@dataclass
class Recorder:
    """An observer that keeps what it was told."""

    reports: list[BatchReport] = field(default_factory=list)
    wholes: list[Served] = field(default_factory=list)
    failed: list[Code] = field(default_factory=list)

    def batch(self, report: BatchReport) -> None:
        self.reports.append(report)

    def served(self, served: Served) -> None:
        self.wholes.append(served)

    def failures(self, code: Code, count: int, seconds: float) -> None:
        self.failed.extend([code] * count)


class Pending:
    """A Telemetry that observes nothing."""

    def observer(self, model: str, version: str) -> Recorder:
        return Recorder()

    def watch_pending(self, model: str, version: str, pending: Callable[[], int]) -> Callable[[], None]:
        return lambda: None

    def show_curve(self, model: str, version: str, curve: Mapping[int, float]) -> Callable[[], None]:
        return lambda: None


def make_request(
    inbox: Inbox,
    rows: Sequence[Sequence[float]],
    *,
    seconds: float = 10.0,
    caller: FakeCaller | None = None,
    signature: Signature = SIGNATURE,
    priority: int = 0,
) -> Request:
    """A request of FP32 rows that waits `seconds` from now on."""
    array = np.array(rows, np.float32)
    now = time.monotonic()
    return Request(
        (array.tobytes(),),
        (array.shape[1:],),
        len(array),
        now + seconds,
        now,
        signature,
        caller or FakeCaller(),
        inbox,
        priority=priority,
    )

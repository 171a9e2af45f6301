"""Measuring a batch curve on a clock of our own."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from tests.support.inference_fakes import INPUTS, OUTPUTS, SIGNATURE
from trireme_common.tensors import Array
from trireme_inference.backend import RunError
from trireme_inference.batch_curve import measure_curve

ROW = {"x": np.array([[1, 2], [3, 4]], np.float32)}


class Paced:
    """A backend whose runs take `seconds` a row on the clock that it carries; the first run of a size takes
    ten times as long. Fails above `most` rows."""

    platform, device, inputs, outputs = "fake", "cpu", INPUTS, OUTPUTS

    def __init__(self, seconds: float, most: int = 1000) -> None:
        self.seconds = seconds
        self.most = most
        self.now = 0.0
        self.sizes: list[int] = []

    def clock(self) -> float:
        return self.now

    def run(self, feed: Mapping[str, Array], fetch: tuple[str, ...]) -> list[Array]:
        rows = len(feed["x"])
        if rows > self.most:
            raise RunError("too many rows")
        assert (feed["x"] == ROW["x"][0]).all()
        self.now += self.seconds * rows * (1 if rows in self.sizes else 10)
        self.sizes.append(rows)
        return [feed["x"]]

    def close(self) -> None: ...


def measure(backend: Paced, most_rows: int, budget_seconds: float = 1.0) -> dict[int, float]:
    return measure_curve(
        backend, SIGNATURE, ROW, most_rows, budget_seconds=budget_seconds, clock=backend.clock
    )


def test_every_size_is_measured_without_its_first_run() -> None:
    curve = measure(Paced(0.001), 12)
    assert curve == pytest.approx({1: 0.001, 2: 0.002, 4: 0.004, 8: 0.008, 12: 0.012})


def test_a_model_without_a_batch_runs_what_it_is_given() -> None:
    fed: list[Array] = []

    class Scalar(Paced):
        def run(self, feed: Mapping[str, Array], fetch: tuple[str, ...]) -> list[Array]:
            fed.append(feed["x"])
            return [feed["x"]]

    alone = replace(SIGNATURE, batchable=False)
    measure_curve(Scalar(0), alone, {"x": np.array(3.0, np.float32)}, 1, budget_seconds=1, clock=lambda: 0)
    assert {array.shape for array in fed} == {()}


def test_a_slow_model_stops_at_what_fits_the_time() -> None:
    backend = Paced(0.05)
    assert measure(backend, 32, budget_seconds=0.7) == pytest.approx({1: 0.05, 2: 0.1, 4: 0.2})
    beforehand = 1 + 2 + 4
    assert sum(backend.sizes) <= beforehand + 0.7 / 0.05


def test_other_work_for_a_while_changes_no_size() -> None:
    class Disturbed(Paced):
        def run(self, feed: Mapping[str, Array], fetch: tuple[str, ...]) -> list[Array]:
            before = self.now
            answer = super().run(feed, fetch)
            if 0.1 < before < 0.5:
                self.now += 3 * (self.now - before)
            return answer

    curve = measure(Disturbed(0.006), 8)
    assert curve == pytest.approx({1: 0.006, 2: 0.012, 4: 0.024, 8: 0.048})


def test_one_row_is_measured_however_slow() -> None:
    assert measure(Paced(9.0), 32, budget_seconds=0.1) == pytest.approx({1: 9.0})


def test_sizes_that_the_model_fails_on_are_left_out() -> None:
    assert list(measure(Paced(0.001, most=5), 32)) == [1, 2, 4]


def test_a_model_that_takes_one_row_has_a_curve_of_one() -> None:
    assert measure(Paced(0.001), 1) == pytest.approx({1: 0.001})

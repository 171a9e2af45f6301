"""How a model is opened, measured and opened again."""

import time
from collections.abc import Mapping

import numpy as np

from tests.support.inference_fakes import SIGNATURE, FakeBackend
from trireme_common.model_spec import ModelSpec
from trireme_common.tensors import Array
from trireme_inference.backend import Backend
from trireme_inference.tuner import Tuner, wishes_of
from trireme_inference.tuning import Wishes

FEED = {"x": np.array([[1, 2]], np.float32)}


class Slow(FakeBackend):
    """Takes `seconds` a row."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds

    def run(self, feed: Mapping[str, Array], fetch: tuple[str, ...]) -> list[Array]:
        time.sleep(self.seconds * len(feed["x"]))
        return super().run(feed, fetch)


class Machine:
    """Opens models whose rows take so long for each number of threads, and keeps what it opened."""

    def __init__(self, seconds: Mapping[int, float]) -> None:
        self.seconds = seconds
        self.opened: list[tuple[int, Slow]] = []

    def open(self, spec: ModelSpec, threads: int) -> Backend:
        backend = Slow(self.seconds[threads])
        self.opened.append((threads, backend))
        return backend

    def tuned(self, spec: ModelSpec, threads: int) -> Tuner:
        tuner = Tuner(spec, self.open, threads=threads, gpu=False)
        tuner.tune(SIGNATURE, FEED)
        return tuner


def spec(**parts: object) -> ModelSpec:
    return ModelSpec.model_validate({"name": "m", **parts})


def test_what_the_user_wrote_is_told_from_what_the_schema_says() -> None:
    assert wishes_of(spec()) == Wishes()
    explicit = spec(batching={"max_batch_size": 32, "latency_objective_ms": 40}, instances={"count": 1})
    assert wishes_of(explicit) == Wishes(max_rows=32, runs=1)


def test_a_slow_model_gets_a_run_for_every_thread_and_small_batches() -> None:
    machine = Machine({1: 0.02, 4: 0.02})  # more threads do not help
    tuner = machine.tuned(spec(), 4)
    assert [threads for threads, _ in machine.opened] == [1, 4]
    assert tuner.backend is machine.opened[0][1]
    assert machine.opened[1][1].closed
    assert tuner.spec.instances.count == 4
    assert tuner.spec.batching.max_batch_size <= 4
    assert tuner.curve[1] >= 0.02


def test_a_model_that_threads_help_keeps_them_together() -> None:
    machine = Machine({1: 0.03, 4: 0.003})
    tuner = machine.tuned(spec(), 4)
    assert tuner.spec.instances.count == 1
    assert (tuner.backend, machine.opened[-1][0]) == (machine.opened[-1][1], 4)
    assert [backend.closed for _, backend in machine.opened] == [True, True, False]


def test_what_the_user_wrote_stands_and_is_measured_all_the_same() -> None:
    machine = Machine({2: 0.01})
    explicit = spec(batching={"max_batch_size": 5}, instances={"count": 2})
    tuner = machine.tuned(explicit, 4)
    assert [threads for threads, _ in machine.opened] == [2]
    assert tuner.spec == explicit
    assert tuner.curve[1] >= 0.01


def test_nothing_is_written_over_the_spec_that_was_read() -> None:
    read = spec()
    Machine({1: 0.02, 2: 0.02}).tuned(read, 2)
    assert read == spec()

"""When the model began and ended: told in the thread of the run, believed within its bounds, once."""

import threading

import pytest

from trireme_inference import run_clock


@pytest.fixture(autouse=True)
def nothing_told_before() -> None:
    """Other tests run models in this thread, and ask nothing."""
    run_clock.told(0.0, 0.0)


def test_without_a_word_the_run_is_the_model() -> None:
    assert run_clock.told(1.0, 2.0) == (1.0, 2.0)


def test_what_is_told_is_taken_once() -> None:
    run_clock.tell(1.25, 1.5)
    assert run_clock.told(1.0, 2.0) == (1.25, 1.5)
    assert run_clock.told(1.0, 2.0) == (1.0, 2.0)


@pytest.mark.parametrize(
    ("told", "believed"),
    [
        ((0.0, 1.5), (1.0, 1.5)),
        ((1.5, 9.0), (1.5, 2.0)),
        ((5.0, 6.0), (2.0, 2.0)),
        ((1.75, 1.25), (1.75, 1.75)),
        ((0.0, 0.0), (1.0, 1.0)),
    ],
)
def test_a_moment_outside_of_the_run_is_not_believed(
    told: tuple[float, float], believed: tuple[float, float]
) -> None:
    run_clock.tell(*told)
    assert run_clock.told(1.0, 2.0) == believed


def test_other_threads_hear_nothing() -> None:
    run_clock.tell(1.25, 1.5)
    heard: list[tuple[float, float]] = []
    thread = threading.Thread(target=lambda: heard.append(run_clock.told(1.0, 2.0)))
    thread.start()
    thread.join()
    assert heard == [(1.0, 2.0)]
    assert run_clock.told(1.0, 2.0) == (1.25, 1.5)

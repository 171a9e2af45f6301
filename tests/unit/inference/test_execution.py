"""Where the time of a run goes, on a clock that ticks once at every look; and who leaves before it."""

import itertools
from collections.abc import Mapping, Sequence

import pytest

from tests.support.inference_fakes import POISON, SIGNATURE, FakeBackend, Inbox, make_request
from trireme_common.tensors import Array
from trireme_inference import run_clock
from trireme_inference.execution import Execution
from trireme_inference.requests import MembersLeft, Request
from trireme_inference.signature import Row, Stack, joined


@pytest.fixture(autouse=True)
def nothing_told_before() -> None:
    """Other tests run models in this thread, and ask nothing."""
    run_clock.told(0.0, 0.0)


class Converting(FakeBackend):
    """Tells when its model ran: from a quarter to three quarters of the run."""

    def run(self, feed: Mapping[str, Array], fetch: tuple[str, ...]) -> list[Array]:
        outputs = super().run(feed, fetch)
        run_clock.tell(1.25, 1.75)
        return outputs


def ticking() -> Execution:
    return Execution("m", FakeBackend(), SIGNATURE, itertools.count().__next__)


def test_the_parts_of_a_run_are_measured_once_for_all_its_requests() -> None:
    inbox = Inbox()
    requests = [make_request(inbox, [[1.0]], seconds=1e9), make_request(inbox, [[2.0], [3.0]], seconds=1e9)]
    first, second = ticking().run(requests)
    assert first.run is second.run
    assert first.run is not None
    # Looks: the start, the model's begin and end, the answers.
    assert (first.run.input_seconds, first.run.infer_seconds, first.run.output_seconds) == (1, 1, 1)
    assert first.run.rows == 3
    assert first.compute_seconds == 3


def test_a_backend_may_tell_what_of_its_run_was_the_model() -> None:
    execution = Execution("m", Converting(), SIGNATURE, itertools.count().__next__)
    (answer,) = execution.run([make_request(Inbox(), [[1.0]], seconds=1e9)])
    assert answer.run is not None
    assert (answer.run.input_seconds, answer.run.infer_seconds, answer.run.output_seconds) == (
        1.25,
        0.5,
        1.25,
    )


def test_a_batch_that_is_taken_apart_has_a_run_for_every_part_that_went_well() -> None:
    inbox = Inbox()
    requests = [make_request(inbox, [[value]], seconds=1e9) for value in (1.0, 2.0, POISON, 4.0)]
    first, second, guilty, last = ticking().run(requests)
    assert first.run is second.run is not None
    assert first.run is not last.run
    assert last.run is not None
    assert guilty.run is None


class Answered(FakeBackend):
    """Answers a request, as its deadline does on another thread, while the batch is made ready; where it
    `leaves` says so, the run finds it out."""

    def __init__(self, request: Request, *, leaves: bool = False) -> None:
        super().__init__()
        self.request, self.leaves = request, leaves

    def stage(self, requests: Sequence[Request], rows: Sequence[Row]) -> Stack:
        self.request.answered, self.request.parts = True, ()
        return joined

    def run(self, feed: Mapping[str, Array], fetch: tuple[str, ...]) -> list[Array]:
        if self.leaves:
            self.leaves = False
            raise MembersLeft
        return super().run(feed, fetch)


def three() -> list[Request]:
    return [make_request(Inbox(), [[value]]) for value in (1.0, 2.0, 3.0)]


def test_a_request_that_is_answered_while_its_batch_is_made_ready_does_not_fail_the_others() -> None:
    requests = three()
    backend = Answered(requests[1])
    answers = Execution("m", backend, SIGNATURE, stage=backend.stage).run(requests)
    assert [answer.error for answer in answers] == [None] * 3
    assert [run.ravel().tolist() for run in backend.runs] == [[1.0, 2.0, 3.0]]


def test_those_that_leave_while_their_batch_waits_for_a_process_do_not_run() -> None:
    requests = three()
    backend = Answered(requests[1], leaves=True)
    answers = Execution("m", backend, SIGNATURE, stage=backend.stage).run(requests)
    assert [answer.request for answer in answers] == [requests[0], requests[2]]
    assert [run.ravel().tolist() for run in backend.runs] == [[1.0, 3.0]]

"""Where the time of a run goes, on a clock that ticks once at every look."""

import itertools
from collections.abc import Mapping

from tests.support.inference_fakes import POISON, SIGNATURE, FakeBackend, Inbox, make_request
from trireme_common.tensors import Array
from trireme_inference import run_clock
from trireme_inference.execution import Execution


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

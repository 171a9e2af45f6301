"""A crash is tried again once, item by item; who is to blame is refused, the others are answered."""

from collections.abc import Sequence

import pytest

from tests.support.inference_fakes import FakeBackend, FakeCaller, Inbox, make_request
from tests.support.workers import Counts
from trireme_common.errors import Code, TriremeError
from trireme_inference.crash_policy import CrashPolicy
from trireme_inference.execution import Execution
from trireme_inference.quarantine import Quarantine
from trireme_inference.requests import Answer, Request
from trireme_inference.workers.worker import WorkerLost

POISON = 666.0


class Runs:
    """Runs batches by a real Execution; dies of POISON, or of as many first runs as it is told."""

    def __init__(self, deaths: int = 0) -> None:
        self.deaths = deaths
        self.batches: list[list[float]] = []
        self._execution = Execution("m", FakeBackend(), make_request(Inbox(), [[0]]).signature)

    def __call__(self, batch: Sequence[Request]) -> list[Answer]:
        values = [value_of(request) for request in batch]
        self.batches.append(values)
        if self.deaths or POISON in values:
            self.deaths = max(0, self.deaths - 1)
            raise WorkerLost("killed by SIGSEGV")
        return self._execution.run(batch)


def value_of(request: Request) -> float:
    return float(request.signature.feed([request])["x"][0, 0])


def requests_of(*values: float, inbox: Inbox | None = None) -> list[Request]:
    return [make_request(inbox or Inbox(), [[value]]) for value in values]


def policy(runs: Runs, counts: Counts | None = None) -> CrashPolicy:
    return CrashPolicy(runs, Quarantine(), counts or Counts(), model="m")


def codes(answers: Sequence[Answer]) -> list[Code | None]:
    return [None if answer.error is None else answer.error.code for answer in answers]


def test_a_worker_that_is_killed_costs_one_more_try() -> None:
    runs = Runs(deaths=1)
    batch = requests_of(1, 2, 3)
    answers = policy(runs).run(batch)
    assert [answer.request for answer in answers] == batch
    assert codes(answers) == [None] * 3
    assert runs.batches == [[1, 2, 3], [1], [2], [3]]


def test_only_the_guilty_is_refused_and_its_neighbours_are_answered_in_order() -> None:
    runs, counts = Runs(), Counts()
    guarded = policy(runs, counts)
    batch = requests_of(*range(20), POISON, *range(20, 31))
    answers = guarded.run(batch)
    assert [answer.request for answer in answers] == batch
    assert codes(answers) == [None] * 20 + [Code.INPUT_QUARANTINED] + [None] * 11
    assert sum(POISON in values for values in runs.batches) == 2
    assert counts.refused == 1


def test_a_refused_input_never_runs_again_and_those_beside_it_run_together() -> None:
    runs = Runs()
    guarded = policy(runs)
    guarded.run(requests_of(POISON))
    before = len(runs.batches)
    answers = guarded.run(requests_of(1, POISON, 2))
    assert codes(answers) == [None, Code.INPUT_QUARANTINED, None]
    assert runs.batches[before:] == [[1, 2]]


def test_two_crashers_in_one_batch_cost_three_crashes() -> None:
    runs = Runs()
    batch = [*requests_of(1, POISON), make_request(Inbox(), [[POISON], [POISON]]), *requests_of(2)]
    answers = policy(runs).run(batch)
    assert codes(answers) == [None, Code.INPUT_QUARANTINED, Code.INPUT_QUARANTINED, None]
    assert sum(POISON in values for values in runs.batches) == 3


def test_an_innocent_is_cleared_by_the_run_that_it_survives() -> None:
    runs = Runs(deaths=1)
    guarded = policy(runs)
    guarded.run(requests_of(1, 2))
    before = len(runs.batches)
    guarded.run(requests_of(1, 2))
    assert runs.batches[before:] == [[1, 2]]


def test_a_suspect_whose_callers_left_runs_alone_when_it_is_sent_again() -> None:
    runs = Runs()
    caller = FakeCaller()

    def leave(batch: Sequence[Request]) -> list[Answer]:
        caller.cancelled = True
        return runs(batch)

    leaving = CrashPolicy(leave, quarantine := Quarantine(), Counts(), model="m")
    assert leaving.run([make_request(Inbox(), [[POISON]], caller=caller)]) == []
    again = CrashPolicy(runs, quarantine, Counts(), model="m")
    assert codes(again.run(requests_of(5, POISON))) == [None, Code.INPUT_QUARANTINED]
    assert runs.batches[-2:] == [[5], [POISON]]


def test_an_input_that_hangs_its_worker_past_its_deadline_is_known_again() -> None:
    def hang(batch: Sequence[Request]) -> list[Answer]:
        for request in batch:  # answered at its deadline meanwhile, it lets go of its input
            request.answered, request.parts = True, ()
        raise WorkerLost("no answer within 30 s")

    runs = Runs()
    hanging = CrashPolicy(hang, quarantine := Quarantine(), Counts(), model="m")
    assert hanging.run(requests_of(7)) == []
    assert codes(hanging.run(requests_of(7))) == [Code.INPUT_QUARANTINED]
    again = CrashPolicy(runs, quarantine, Counts(), model="m")
    assert codes(again.run(requests_of(7, 8))) == [Code.INPUT_QUARANTINED, None]


def test_a_run_error_is_no_crash() -> None:
    runs = Runs()
    answers = policy(runs).run(requests_of(1, -1, 2))
    assert codes(answers) == [None, Code.MODEL_FAILED, None]
    assert runs.batches == [[1, -1, 2]]


def test_what_was_not_run_at_all_is_answered_with_the_reason() -> None:
    class Nobody(FakeBackend):
        def run(self, *_: object) -> list[object]:  # type: ignore[override]
            raise TriremeError(Code.MODEL_NOT_READY, "no process of the model can start")

    batch = requests_of(1, 2)
    answers = Execution("m", Nobody(), batch[0].signature).run(batch)
    assert codes(answers) == [Code.MODEL_NOT_READY] * 2


@pytest.mark.parametrize("value", [POISON, 1.0])
def test_a_request_that_has_gone_is_left_out(value: float) -> None:
    runs = Runs()
    gone = make_request(Inbox(), [[value]], caller=FakeCaller(cancelled=True))
    answers = policy(runs).run([gone, *requests_of(1)])
    assert [value_of(answer.request) for answer in answers] == [1.0]

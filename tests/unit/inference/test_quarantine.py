"""Two crashes, a bounded memory, and nothing hashed while nothing is known."""

from tests.support.inference_fakes import Inbox, make_request
from trireme_inference.quarantine import Quarantine, Verdict
from trireme_inference.requests import Request


def request_of(value: float, rows: int = 1) -> Request:
    return make_request(Inbox(), [[value]] * rows)


def test_an_input_is_suspected_once_and_refused_twice() -> None:
    quarantine = Quarantine()
    assert quarantine.empty
    assert quarantine.crashed([request_of(1), request_of(2)]) == 0
    assert quarantine.verdict(request_of(1)) is Verdict.SUSPECT
    assert quarantine.verdict(request_of(3)) is Verdict.CLEAR
    assert quarantine.crashed([request_of(1)]) == 1
    quarantine.survived(request_of(2))
    assert quarantine.verdict(request_of(1)) is Verdict.REFUSED
    assert quarantine.verdict(request_of(2)) is Verdict.CLEAR
    assert (quarantine.size, quarantine.empty) == (1, False)


def test_the_same_bytes_in_another_shape_are_another_input() -> None:
    quarantine = Quarantine()
    for _ in range(2):
        quarantine.crashed([request_of(1, rows=2)])
    assert quarantine.verdict(request_of(1, rows=2)) is Verdict.REFUSED
    assert quarantine.verdict(make_request(Inbox(), [[1, 1]])) is Verdict.CLEAR


def test_equal_inputs_in_one_batch_are_one_suspect() -> None:
    quarantine = Quarantine()
    assert quarantine.crashed([request_of(1), request_of(1)]) == 0
    assert quarantine.verdict(request_of(1)) is Verdict.SUSPECT


def test_what_is_remembered_is_bounded_and_the_latest_stays() -> None:
    quarantine = Quarantine(capacity=3)
    for value in range(5):
        for _ in range(2):
            quarantine.crashed([request_of(value)])
    assert quarantine.size == 3
    assert quarantine.verdict(request_of(0)) is Verdict.CLEAR
    assert quarantine.verdict(request_of(4)) is Verdict.REFUSED


def test_all_members_of_a_batch_larger_than_the_capacity_are_suspects() -> None:
    quarantine = Quarantine(capacity=3)
    batch = [request_of(value) for value in range(10)]
    quarantine.crashed(batch)
    assert {quarantine.verdict(request) for request in batch} == {Verdict.SUSPECT}

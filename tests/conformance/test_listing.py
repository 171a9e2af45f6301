"""A public call that no case asks fails the suite, and so does a case of a call that there is not."""

from __future__ import annotations

import pytest

from tests.conformance.casebook import FAIL, NOT_SUPPORTED, PASS, Case, CaseBook, NotSupportedError
from tests.conformance.clients import CLIENTS
from tests.conformance.report import BEGIN, END, markdown, result_of, written
from tests.conformance.runner import Outcome, run_case, unlisted


async def nothing(client: object) -> None:
    pass


async def unsupported(client: object) -> None:
    raise NotSupportedError("no such thing here")


def book(*calls: str) -> CaseBook:
    """Both kinds of cases of each call."""
    made = CaseBook()
    for call in calls:
        made.works(call, "is answered")(nothing)
        made.fails(call, "is refused")(nothing)
    return made


class TestListing:
    def test_all_is_well_where_every_call_is_asked_both_ways(self) -> None:
        assert list(unlisted(["a", "b"], book("a", "b").of("any"))) == []

    def test_a_call_without_a_case(self) -> None:
        (found,) = unlisted(["a", "b"], book("a").of("any"))
        assert found[0] == "b"

    def test_a_call_that_is_never_refused(self) -> None:
        made = book("a")
        made.works("b", "is answered")(nothing)
        assert [call for call, _ in unlisted(["a", "b"], made.of("any"))] == ["b"]

    def test_a_case_of_no_call(self) -> None:
        assert [call for call, _ in unlisted(["a"], book("a", "z").of("any"))] == ["z"]

    def test_a_case_of_other_clients_counts_for_them_alone(self) -> None:
        made = book("a")
        made.works("b", "is answered", "one")(nothing)
        made.fails("b", "is refused", "one")(nothing)
        assert list(unlisted(["a", "b"], made.of("one"))) == []
        assert [call for call, _ in unlisted(["a", "b"], made.of("two"))] == ["b"]


class TestResults:
    @pytest.mark.parametrize(
        ("call", "result"), [("infer", FAIL), ("register_cuda_shared_memory", NOT_SUPPORTED)]
    )
    async def test_only_cuda_may_be_unsupported(self, call: str, result: str) -> None:
        case = Case(call, "says", False, unsupported)
        assert (await run_case(CLIENTS["triton-grpc"], case, None)).result == result

    def test_the_worst_case_is_what_a_call_came_to(self) -> None:
        def outcome(result: str) -> Outcome:
            return Outcome("triton-http", "infer", "says", False, result)  # type: ignore[arg-type]

        assert result_of([]) is None
        assert result_of([outcome(PASS), outcome(PASS)]) == PASS
        assert result_of([outcome(PASS), outcome(FAIL), outcome(NOT_SUPPORTED)]) == FAIL


class TestTables:
    OUTCOMES = (
        Outcome("triton-http", "infer", "binary", False, PASS),
        Outcome("triton-http", "infer", "unknown model", True, PASS),
        Outcome("triton-grpc", "infer", "binary", False, PASS),
        Outcome("triton-grpc", "stop_stream", "waits", False, FAIL, "why"),
    )

    def test_a_row_for_each_call_and_a_column_for_each_client(self) -> None:
        lines = markdown(self.OUTCOMES).splitlines()
        assert lines[0] == "| tritonclient | http | grpc |"
        assert lines[2:4] == ["| `infer` | pass | pass |", "| `stop_stream` |  | fail |"]
        assert lines[5] == "- `infer` *answered*: binary. *refused*: unknown model (http)."

    def test_only_what_stands_between_the_marks_is_replaced(self) -> None:
        document = f"before\n{BEGIN}\nold\n{END}\nafter\n"
        made = written(document, self.OUTCOMES)
        assert made == f"before\n{BEGIN}\n{markdown(self.OUTCOMES)}\n{END}\nafter\n"
        assert written(made, self.OUTCOMES) == made

    def test_a_document_without_marks_is_refused(self) -> None:
        with pytest.raises(ValueError, match="no lines"):
            written("before", self.OUTCOMES)

from __future__ import annotations

import grpc
import pytest

from trireme_common.errors import Code
from trireme_gateway.hop.oip.ports import ServerAwayError
from trireme_gateway.hop.oip.statuses import readable, translated


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (grpc.StatusCode.INVALID_ARGUMENT, Code.INVALID_ARGUMENT),
        (grpc.StatusCode.NOT_FOUND, Code.MODEL_NOT_FOUND),
        (grpc.StatusCode.UNIMPLEMENTED, Code.UNIMPLEMENTED),
        (grpc.StatusCode.DEADLINE_EXCEEDED, Code.DEADLINE_EXCEEDED),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, Code.OVERLOADED),
        (grpc.StatusCode.UNAVAILABLE, Code.BACKEND_UNAVAILABLE),
    ],
)
def test_the_callers_part_is_said_in_the_servers_words(status: grpc.StatusCode, code: Code) -> None:
    found = translated(status, "what it said")
    assert found.code is code
    assert "what it said" in found.detail


@pytest.mark.parametrize(
    "status", [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED, grpc.StatusCode.ABORTED]
)
def test_a_call_that_was_not_taken_may_be_asked_elsewhere(status: grpc.StatusCode) -> None:
    assert isinstance(translated(status, None), ServerAwayError)


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (grpc.StatusCode.INTERNAL, Code.MODEL_FAILED),
        (grpc.StatusCode.UNKNOWN, Code.MODEL_FAILED),
        (grpc.StatusCode.DATA_LOSS, Code.MODEL_FAILED),
        (grpc.StatusCode.UNAUTHENTICATED, Code.INTERNAL),
        (grpc.StatusCode.PERMISSION_DENIED, Code.INTERNAL),
    ],
)
def test_its_own_failures_are_not_passed_on(status: grpc.StatusCode, code: Code) -> None:
    found = translated(status, "Traceback: secret")
    assert found.code is code
    assert "secret" not in found.detail


def test_a_message_that_is_too_large_is_the_callers() -> None:
    said = "CLIENT: Sent message larger than max (99 vs. 64)"
    assert translated(grpc.StatusCode.RESOURCE_EXHAUSTED, said).code is Code.PAYLOAD_TOO_LARGE


@pytest.mark.parametrize("status", list(grpc.StatusCode))
def test_every_status_has_a_code_and_words(status: grpc.StatusCode) -> None:
    assert translated(status, None).detail


def test_what_may_be_read_is_one_short_line() -> None:
    assert readable(" first \x07line\nsecond") == "first line"
    assert len(readable("x" * 1000)) == 300
    assert readable("") == ""

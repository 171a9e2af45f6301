"""The one table from a foreign server's gRPC status to our codes, and what of its words a caller may read."""

from __future__ import annotations

import grpc
import grpc.aio

from trireme_common.errors import Code, TriremeError
from trireme_gateway.hop.oip.ports import ServerAwayError

_MOST_CHARACTERS = 300

# What is wrong with the request is said in the server's words.
_OF_THE_REQUEST = {
    grpc.StatusCode.INVALID_ARGUMENT: Code.INVALID_ARGUMENT,
    grpc.StatusCode.OUT_OF_RANGE: Code.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND: Code.MODEL_NOT_FOUND,
    grpc.StatusCode.UNIMPLEMENTED: Code.UNIMPLEMENTED,
    grpc.StatusCode.DEADLINE_EXCEEDED: Code.DEADLINE_EXCEEDED,
}
# Neither is an answer: the same call may find another server, or this one later.
_AWAY = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED, grpc.StatusCode.ABORTED)
_REFUSED_US = (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED)


def translated(status: grpc.StatusCode, details: str | None) -> TriremeError:
    """The error of a call that ended with `status`.

    What the server says of its own failures may hold anything, so it is not passed on: MODEL_FAILED.
    """
    said = readable(details or "")
    if status in _OF_THE_REQUEST:
        return TriremeError(_OF_THE_REQUEST[status], said or f"the inference server says {status.name}")
    if status in _AWAY:
        return ServerAwayError(
            "the inference server cannot take the request now" + (f": {said}" if said else "")
        )
    if status is grpc.StatusCode.RESOURCE_EXHAUSTED:
        large = "larger than max" in said  # grpc's own words, of either end
        return TriremeError(
            Code.PAYLOAD_TOO_LARGE if large else Code.OVERLOADED, said or "the server is full"
        )
    if status in _REFUSED_US:
        return TriremeError(Code.INTERNAL, "the inference server does not let the gateway in")
    return TriremeError(Code.MODEL_FAILED, "the model failed at the inference server")


def readable(text: str) -> str:
    """The first line, without control characters, of 300 characters at most."""
    line = next(iter(text.strip().splitlines()), "")
    printable = "".join(character for character in line if character.isprintable())
    return printable if len(printable) <= _MOST_CHARACTERS else printable[: _MOST_CHARACTERS - 1] + "…"

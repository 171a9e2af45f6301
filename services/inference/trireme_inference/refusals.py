"""What a request is told that the scheduler does not run, or no longer."""

from __future__ import annotations

from trireme_common.errors import Code, TriremeError

_DETAILS = {
    Code.DEADLINE_EXCEEDED: "the request's time was up before its answer was ready",
    Code.CANCELLED: "the caller left",
    Code.OVERLOADED: "too many requests wait for this model",
    Code.MODEL_NOT_READY: "the model version is being unloaded",
    Code.INTERNAL: "internal error",
}


def refusal(code: Code) -> TriremeError:
    """The error of one of these codes, with a detail for the caller."""
    return TriremeError(code, _DETAILS[code])

"""Answers as the JSON objects that callers get."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson
from starlette.responses import Response

from trireme_common.errors import TriremeError
from trireme_gateway.answers import Answer, Vector
from trireme_gateway.errors import STATUS, item_error
from trireme_gateway.items import IMAGE_TASKS

Outcome = Answer | TriremeError


def item_object(task: str, outcome: Outcome) -> dict[str, Any]:
    """One item's answer, or `{"error": {"code", "detail"}}`."""
    if isinstance(outcome, TriremeError):
        return {"error": item_error(outcome)}
    if isinstance(outcome, Vector):
        return _vector_object(task, outcome)
    answer: dict[str, Any] = {
        "label": outcome.label,
        "confidence": outcome.confidence,
        "probabilities": outcome.probabilities,
    }
    if task in IMAGE_TASKS:
        answer["predicted_class"] = outcome.index
        answer["all_predictions"] = outcome.probabilities
    return answer


def _vector_object(task: str, vector: Vector) -> dict[str, Any]:
    if task == "text-embedding":
        return {"embedding": vector.values}
    if len(vector.values) == 1:
        return {"value": vector.values[0]}
    return {"values": vector.values}


def prediction(task: str, outcome: Outcome) -> Any:
    """One element of `predictions`: an item's object, a number or list, or an embedding's list."""
    if isinstance(outcome, Vector):
        single = task != "text-embedding" and len(outcome.values) == 1
        return outcome.values[0] if single else outcome.values
    return item_object(task, outcome)


def status_of(outcomes: Sequence[Outcome]) -> int:
    """200 unless every item failed; then the status of the first error."""
    first = outcomes[0] if outcomes else None
    if isinstance(first, TriremeError) and all(isinstance(outcome, TriremeError) for outcome in outcomes):
        return STATUS[first.code]
    return 200


def json_response(content: Any, status: int = 200) -> Response:
    """Response of plain values. 503 carries retry-after, as every answer of that status does."""
    return _JsonResponse(orjson.dumps(content), status)


class _JsonResponse(Response):
    """Makes its headers itself: Starlette's way to them costs more than encoding a small answer does."""

    def __init__(self, body: bytes, status: int) -> None:
        self.status_code = status
        self.background = None
        self.body = body
        self.raw_headers = [
            (b"content-length", b"%d" % len(body)),
            (b"content-type", b"application/json"),
        ]
        if status == 503:
            self.raw_headers.append((b"retry-after", b"1"))

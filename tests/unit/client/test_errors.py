from __future__ import annotations

import json
from typing import Any

import pytest

from trireme_client import (
    BadRequest,
    DeadlineExceeded,
    NotFound,
    PermissionDenied,
    RateLimited,
    ServerError,
    TriremeError,
    Unavailable,
)
from trireme_client.errors import error_of
from trireme_client.reply import Reply


def failure(status: int, body: Any = b"", **headers: str) -> TriremeError:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return error_of(
        Reply(status, {name.replace("_", "-"): value for name, value in headers.items()}, content)
    )


@pytest.mark.parametrize(
    ("status", "kind", "retryable"),
    [
        (400, BadRequest, False),
        (401, PermissionDenied, False),
        (403, PermissionDenied, False),
        (404, NotFound, False),
        (413, BadRequest, False),
        (429, RateLimited, True),
        (500, ServerError, False),
        (502, ServerError, False),
        (503, Unavailable, True),
        (504, DeadlineExceeded, False),
    ],
)
def test_kinds_by_status(status: int, kind: type[TriremeError], retryable: bool) -> None:
    error = failure(status)
    assert type(error) is kind
    assert error.retryable is retryable
    assert error.status == status
    assert str(status) in str(error)


@pytest.mark.parametrize(
    ("body", "code", "detail"),
    [
        (
            {"code": "model_not_found", "detail": "unknown", "error": {"message": "m"}},
            "model_not_found",
            "unknown",
        ),
        ({"results": [{"error": {"code": "blank_text", "detail": "blank"}}]}, "blank_text", "blank"),
        ({"error": "v2 says so"}, "", "v2 says so"),
        ({"detail": "another server"}, "", "another server"),
        (b"<html>", "", "HTTP status 400"),
        ([], "", "HTTP status 400"),
    ],
)
def test_every_shape_is_read(body: Any, code: str, detail: str) -> None:
    error = failure(400, body, x_request_id="r1")
    assert (error.code, error.detail, error.request_id) == (code, detail, "r1")
    assert "request r1" in str(error)


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        ("2", 2.0),
        ("0.5", 0.5),
        ("Wed, 21 Oct 2026 07:28:00 GMT", None),
        ("-1", None),
        ("inf", None),
        ("nan", None),
    ],
)
def test_retry_after(given: str, seconds: float | None) -> None:
    assert failure(503, retry_after=given).retry_after_seconds == seconds

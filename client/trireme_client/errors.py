"""What a call can fail with.

    TriremeError                any failure: `detail`, `code`, `status`, `request_id`
    ├── Unreachable             nothing answers at the address
    ├── ConnectionLost          the connection broke while the call was under way
    ├── UnexpectedAnswer        what answers is no Trireme gateway, or the answer is of another kind
    ├── DeadlineExceeded        the time was up, on either side
    ├── BadRequest              400 and the other statuses that say the call itself is wrong
    ├── PermissionDenied        401, 403
    ├── NotFound                404: no such model, version or route
    ├── RateLimited             429: more than the caller may ask for
    ├── Unavailable             503: not ready, overloaded, or no backend
    └── ServerError             any other 5xx

Unreachable, RateLimited and Unavailable say that nothing was done, so such a call is made again as long
as the retry budget and the call's time last.
"""

from __future__ import annotations

import json
from typing import Any, ClassVar

from trireme_client.reply import Reply


class TriremeError(Exception):
    """Base of all failures of a call."""

    retryable: ClassVar[bool] = False
    """Whether the call may be made again without having been done twice."""

    def __init__(
        self,
        detail: str,
        *,
        code: str = "",
        status: int | None = None,
        request_id: str = "",
        retry_after_seconds: float | None = None,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.code = code
        """The platform's stable code, e.g. `model_not_found`; empty where it gave none."""
        self.status = status
        """HTTP status; None where there was no answer."""
        self.request_id = request_id
        """Finds the request in the platform's log."""
        self.retry_after_seconds = retry_after_seconds
        """When the platform says that it may be asked again."""

    def __str__(self) -> str:
        facts = [str(self.status or ""), self.code, f"request {self.request_id}" if self.request_id else ""]
        known = ", ".join(fact for fact in facts if fact)
        return f"{self.detail} ({known})" if known else self.detail


class Unreachable(TriremeError):
    """Nothing answers at the address."""

    retryable = True


class ConnectionLost(TriremeError):
    """The connection broke while the call was under way; whether it was done is not known."""


class UnexpectedAnswer(TriremeError):
    """The answer cannot be read, or is of another kind than the method gives."""


class DeadlineExceeded(TriremeError):
    """The call's time was up, on either side."""


class BadRequest(TriremeError):
    """The call itself is wrong; made again it would fail again."""


class PermissionDenied(TriremeError):
    """401 or 403: the key is missing, wrong, or not enough."""


class NotFound(TriremeError):
    """404: no such model, version or route."""


class RateLimited(TriremeError):
    """429: more than the caller may ask for."""

    retryable = True


class Unavailable(TriremeError):
    """503: not ready, overloaded, or no backend."""

    retryable = True


class ServerError(TriremeError):
    """The platform failed."""


_BY_STATUS: dict[int, type[TriremeError]] = {
    401: PermissionDenied,
    403: PermissionDenied,
    404: NotFound,
    429: RateLimited,
    503: Unavailable,
    504: DeadlineExceeded,
}


def error_of(reply: Reply) -> TriremeError:
    """The failure that an answer with a status other than 2xx says, whatever its shape."""
    kind = _BY_STATUS.get(reply.status, ServerError if reply.status >= 500 else BadRequest)
    code, detail = _problem(reply)
    return kind(
        detail or f"HTTP status {reply.status}",
        code=code,
        status=reply.status,
        request_id=reply.headers.get("x-request-id", ""),
        retry_after_seconds=_seconds(reply.headers.get("retry-after", "")),
    )


def _problem(reply: Reply) -> tuple[str, str]:
    """`code` and `detail` of problem+json, of the v2 protocol's `error`, or of the first failed item."""
    try:
        body = json.loads(reply.content)
    except ValueError:
        return "", ""
    match body:
        case {"results": [{"error": {"code": str(code), "detail": str(detail)}}, *_]}:
            return code, detail
        case {"code": str(code), "detail": str(detail)}:
            return code, detail
        case {"error": str(detail)} | {"detail": str(detail)}:
            return "", detail
    return "", ""


def _seconds(value: Any) -> float | None:
    """Of a `retry-after` in seconds; one that is a date is not used."""
    try:
        seconds = float(value)
    except ValueError:
        return None
    return seconds if 0 <= seconds < float("inf") else None

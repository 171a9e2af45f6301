"""What can go wrong, said once and without a transport.

    TriremeError                any failure with a stable code and a detail for the caller
    ├── ItemError               one item of a request; its neighbours go on
    ├── SpecError               a model repository entry that cannot be served
    │   └── MachineError        it may be good; this machine could not serve it now
    └── SettingsError           a setting that cannot be honoured; the process must not start

Each transport keeps one table from `Code` to its own status (`trireme_gateway.errors`,
`trireme_common.grpc_status`); a test asserts that both tables cover every code.
"""

from __future__ import annotations

from enum import StrEnum


class Code(StrEnum):
    """Stable, machine-readable reason of a failure."""

    INVALID_ARGUMENT = "invalid_argument"
    BLANK_TEXT = "blank_text"
    TEXT_TOO_LONG = "text_too_long"
    UNDECODABLE_IMAGE = "undecodable_image"
    IMAGE_TOO_LARGE = "image_too_large"
    NON_FINITE_NUMBER = "non_finite_number"
    WRONG_SHAPE = "wrong_shape"
    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    MODEL_NOT_FOUND = "model_not_found"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    PAYLOAD_TOO_LARGE = "payload_too_large"
    UNSUPPORTED_MEDIA_TYPE = "unsupported_media_type"
    RATE_LIMITED = "rate_limited"
    CANCELLED = "cancelled"
    NOT_CACHED = "not_cached"
    INTERNAL = "internal"
    MODEL_FAILED = "model_failed"
    INPUT_QUARANTINED = "input_quarantined"
    UNIMPLEMENTED = "unimplemented"
    MODEL_NOT_READY = "model_not_ready"
    BACKEND_UNAVAILABLE = "backend_unavailable"
    OVERLOADED = "overloaded"
    DEADLINE_EXCEEDED = "deadline_exceeded"


class TriremeError(Exception):
    """A failure whose `detail` may be shown to the caller."""

    def __init__(self, code: Code, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail

    def afresh(self) -> TriremeError:
        """The same failure, to be raised by one of several that share it: raising adds to a trace."""
        return TriremeError(self.code, self.detail)


class ItemError(TriremeError):
    """One item cannot be processed. Raised by steps; never fails the item's neighbours."""


class SpecError(TriremeError):
    """A model of the repository is unusable; `detail` names the file, the line and the key."""

    def __init__(self, detail: str) -> None:
        super().__init__(Code.INVALID_ARGUMENT, detail)


class MachineError(SpecError):
    """A model cannot be had now for want of what this machine gives; it says nothing against its files."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.code = Code.MODEL_NOT_READY


class SettingsError(TriremeError):
    """A setting is wrong or missing; `detail` says what to set."""

    def __init__(self, detail: str) -> None:
        super().__init__(Code.INVALID_ARGUMENT, detail)

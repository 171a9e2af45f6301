"""What can go wrong between a source and the cache, in words that hold no credential."""

from __future__ import annotations

import re
from enum import StrEnum

_USERINFO = re.compile(r"(?<=://)[^/@\s]+@")
_QUERY = re.compile(r"\?[^\s\"'<>)]+")
_HEADER = re.compile(r"(?i)\b(basic|bearer)\s+[A-Za-z0-9+/=._~-]{6,}")
_SETTING = re.compile(
    r"(?i)\b([\w-]*(?:secret|password|token|signature|access_key|account_key|sas)[\w-]*[=:]\s*)\S+"
)
_MAX_DETAIL = 500


class Kind(StrEnum):
    """Why something was not mirrored; the label of the failures metric."""

    UNREACHABLE = "unreachable"
    DENIED = "denied"
    REFUSED = "refused"
    CHANGED = "changed"
    CORRUPT = "corrupt"
    CONFLICT = "conflict"
    CACHE_FULL = "cache_full"
    DISK = "disk"


class SourceError(Exception):
    """A failure of the source or of the cache. `detail` is masked and safe to log."""

    def __init__(self, kind: Kind, detail: str) -> None:
        self.kind = kind
        self.detail = mask(detail)
        super().__init__(self.detail)

    @property
    def transient(self) -> bool:
        """Whether the same request may succeed a moment later."""
        return self.kind is Kind.UNREACHABLE


class Stopped(Exception):
    """The process is about to end; what was downloaded stays for the next one to continue."""


def mask(text: str) -> str:
    """`text` without what may be a credential: user info and queries of URLs, authorization headers.

    Libraries put whole URLs into their messages, and a query can be a signature. The text is cut to 500
    characters.
    """
    text = _USERINFO.sub("***@", text)
    text = _QUERY.sub("?***", text)
    text = _HEADER.sub(r"\1 ***", text)
    return _SETTING.sub(r"\1***", text)[:_MAX_DETAIL]

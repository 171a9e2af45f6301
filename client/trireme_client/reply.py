"""An answer as the readers take it, whichever HTTP client brought it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reply:
    """`headers` by their names in lower case."""

    status: int
    headers: Mapping[str, str]
    content: bytes

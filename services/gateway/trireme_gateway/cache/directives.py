"""`cache-control` of a request: what its caller allows the cache to do (RFC 9111, section 5.2.1)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

from trireme_gateway.cache.freshness import NEVER, Freshness

_MAX_SECONDS = 2**31


@dataclass(frozen=True, slots=True)
class Directives:
    """Those that bear on a cache between caller and model; others are passed over, as the RFC says.

    Ages are seconds, None where the caller names none. A `max-stale` without a number is without bound.
    """

    no_store: bool = False
    """Neither answered from the cache nor kept in it."""
    no_cache: bool = False
    """Not answered from the cache; the answer is kept."""
    only_if_cached: bool = False
    """Answered from the cache or not at all."""
    max_age: float | None = None
    min_fresh: float | None = None
    max_stale: float | None = None

    def freshness(self, stale_seconds: float, longest_seconds: float) -> Freshness:
        """What the request takes of a model whose answers are given out for `stale_seconds` after their
        time; a caller may ask for more, up to `longest_seconds`, or for less."""
        if self.no_cache or self.no_store:
            return NEVER
        max_age = math.inf if self.max_age is None else self.max_age
        if self.min_fresh is not None:
            return Freshness(self.min_fresh, max_age)
        if self.max_stale is not None:
            stale_seconds = min(self.max_stale, longest_seconds)
        return Freshness(-stale_seconds, max_age)


@lru_cache(256)  # the header is the caller's
def parse(header: str) -> Directives:
    """Directives of a `cache-control` header. Never raises: a number that is none counts as the strictest
    one, and of a directive that stands twice the first counts."""
    given: dict[str, str] = {}
    for part in header.split(","):
        name, _, value = part.partition("=")
        given.setdefault(name.strip().lower(), value.strip().strip('"'))
    max_stale = given.get("max-stale")
    return Directives(
        no_store="no-store" in given,
        no_cache="no-cache" in given,
        only_if_cached="only-if-cached" in given,
        max_age=_seconds(given.get("max-age"), otherwise=0),
        min_fresh=_seconds(given.get("min-fresh"), otherwise=_MAX_SECONDS),
        max_stale=math.inf if max_stale == "" else _seconds(max_stale, otherwise=0),
    )


def _seconds(value: str | None, *, otherwise: float) -> float | None:
    if value is None:
        return None
    if not value.isascii() or not value.isdigit():
        return otherwise
    return float(min(int(value), _MAX_SECONDS)) if len(value) < 20 else float(_MAX_SECONDS)

"""Which stored answers will do: how old they may be, and how long past their time to live."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple


class Held(NamedTuple):
    """A stored answer. `left`: seconds of its time to live, negative once that is over."""

    value: bytes
    age: float
    left: float
    kept: float
    """Seconds for which it is still kept, `left` and what comes after it."""


@dataclass(frozen=True, slots=True)
class Freshness:
    """What a request takes. The default is anything within its time to live."""

    min_left: float = 0.0
    """Least seconds that must be left to live; negative takes a stale answer."""
    max_age: float = math.inf

    def takes(self, held: Held) -> bool:
        return held.left > self.min_left and held.age <= self.max_age


FRESH = Freshness()
NEVER = Freshness(min_left=math.inf)


@dataclass(frozen=True, slots=True)
class Terms:
    """How answers of one model are kept, and what one request takes of them. In seconds."""

    ttl_seconds: float
    keep_seconds: float = 0.0
    """How much longer than its time to live an answer is kept, for those who take stale ones."""
    freshness: Freshness = FRESH

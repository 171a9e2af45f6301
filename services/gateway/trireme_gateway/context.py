"""What is known of one request while it runs: its id, its deadline, and where its time went."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from trireme_common.errors import Code
from trireme_common.tracing import Span


@dataclass(slots=True)
class RequestContext:
    """Made by the outermost middleware, filled on the way, read when the answer leaves."""

    request_id: str
    deadline: float
    """Seconds of the monotonic clock."""
    started: float = field(default_factory=time.monotonic)
    endpoint: str = "unmatched"
    """Route template, the label under which the request is counted."""
    model: str = ""
    version: str = ""
    stage_seconds: dict[str, float] = field(default_factory=dict)
    """Wall time of each stage, in the order in which they ran; repeated runs add up."""
    confidence: float | None = None
    """Lowest confidence among the request's classifications."""
    inference_seconds: float = 0.0
    """Wall time from the first stage to the last answer, over all runs of the request."""
    cache: str = ""
    """hit, miss, coalesced or off; empty where nothing was asked."""
    cache_control: str = ""
    """What the caller says of the cache (`cache-control`)."""
    stale_seconds: float = 0.0
    """How long the time to live of the most stale answer has been over; 0 where all are fresh."""
    items: int = 0
    failed: int = 0
    error: Code | None = None
    """Why the request failed as a whole."""
    span: Span | None = None
    """Where the request is traced."""
    priority: int = 0
    """Level of the request in inference's queue, 1 the first; 0 is the model's middle one."""

    def spend(self, stage: str, seconds: float) -> None:
        self.stage_seconds[stage] = self.stage_seconds.get(stage, 0.0) + seconds

    def computed_seconds(self) -> float:
        """Wall time of all stages so far."""
        # What inference's queue took is within what inference took.
        return sum(self.stage_seconds.values()) - self.stage_seconds.get("queue", 0.0)

    def note_cache(self, status: str, *, missed: bool) -> None:
        """Remembers how answers were come by; over several lookups the costlier word stands."""
        if missed or not self.cache or self.cache == "hit":
            self.cache = status

    def merge(self, part: RequestContext) -> None:
        """Takes over what one part of the request did; times of parts that ran side by side add up."""
        if part.model:
            self.model, self.version = part.model, part.version
        if part.cache:
            self.note_cache(part.cache, missed=part.cache in ("miss", "off"))
        self.stale_seconds = max(self.stale_seconds, part.stale_seconds)
        self.inference_seconds += part.inference_seconds
        self.items += part.items
        self.failed += part.failed
        for stage, seconds in part.stage_seconds.items():
            self.spend(stage, seconds)
        if part.confidence is not None:
            self.confidence = (
                part.confidence if self.confidence is None else min(self.confidence, part.confidence)
            )

    def shorten(self, timeout_ms: int) -> None:
        """Brings the deadline forward to `timeout_ms` after the start, if that is sooner; 0 does nothing."""
        if timeout_ms:
            self.deadline = min(self.deadline, self.started + timeout_ms / 1000)

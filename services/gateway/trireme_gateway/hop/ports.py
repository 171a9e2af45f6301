"""What the pipeline needs of a hop; the streams are one adapter, stages in process another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from trireme_common.errors import TriremeError


@dataclass(frozen=True, slots=True)
class HopAnswer:
    """Answers of one call, an outcome an item, in the order of its payloads.

    `queue_us` and `compute_us` are the longest that one of its items waited and ran in the stage.
    """

    outcomes: list[bytes | TriremeError]
    queue_us: int = 0
    compute_us: int = 0


class Hop(Protocol):
    """One stage as the pipeline sees it."""

    async def call(
        self, model: str, version: str, payloads: Sequence[bytes], deadline: float, request_id: str
    ) -> HopAnswer:
        """Answers every payload. `deadline` is in seconds of the monotonic clock.

        Raises TriremeError(BACKEND_UNAVAILABLE) where no endpoint can take the call.
        """

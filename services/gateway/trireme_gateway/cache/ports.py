"""What the cache needs from a store that several gateways share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol


class StoreEntry(NamedTuple):
    """A value to store."""

    key: bytes
    value: bytes
    ttl_seconds: float


class CacheStore(Protocol):
    """Opaque bytes by key.

    It never raises: what cannot be read is a miss, what cannot be written is left out.
    """

    async def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Values in the order of `keys`, None for each that is not there or could not be read in time."""
        ...

    def put_many(self, entries: Sequence[StoreEntry]) -> None:
        """Takes entries to be written in the background; may drop them."""
        ...

    async def close(self) -> None:
        """Writes what it still can, answers every waiting reader, frees its connections."""
        ...

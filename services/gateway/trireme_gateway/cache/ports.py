"""What the cache needs from a store that several gateways share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol


class StoreEntry(NamedTuple):
    """A value to store."""

    key: bytes
    value: bytes
    ttl_seconds: float


class Claim(NamedTuple):
    """What became of a claim to be the one who computes a key."""

    won: bool
    """Nobody else holds it now, or the store cannot tell."""
    value: bytes | None = None
    """The value, which may have come since it was asked for."""


class Watch(NamedTuple):
    """What has become of a key that another computes."""

    held: bool
    """The other's claim still stands."""
    value: bytes | None = None


class CacheStore(Protocol):
    """Opaque bytes by key, and claims to be the one who computes them.

    It never raises: what cannot be read is a miss, what cannot be written is left out, what cannot be
    claimed is won.
    """

    async def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Values in the order of `keys`, None for each that is not there or could not be read in time."""
        ...

    async def claim_many(self, keys: Sequence[bytes], seconds: float) -> list[Claim]:
        """Claims each of `keys` for `seconds`, unless another holds it."""
        ...

    async def watch_many(self, keys: Sequence[bytes]) -> list[Watch]:
        """Looks for values and claims at once; neither where they could not be read in time."""
        ...

    def release_many(self, keys: Sequence[bytes]) -> None:
        """Gives claims back in the background, each behind what was put under its key before."""
        ...

    def put_many(self, entries: Sequence[StoreEntry]) -> None:
        """Takes entries to be written in the background; may drop them."""
        ...

    async def close(self) -> None:
        """Writes what it still can, answers every waiting reader, frees its connections."""
        ...

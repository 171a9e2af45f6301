"""How much a message between the services may carry."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import Protocol, TypeVar

from trireme_common.grpc_server import MAX_MESSAGE_BYTES

# What one message may carry in payloads; the rest is for ids, details and request ids.
MAX_PAYLOAD_BYTES = MAX_MESSAGE_BYTES - 1024 * 1024
# More in a message saves no more; what is read and written as a whole should fit into a processor's cache.
_FULL_BYTES = 1024 * 1024


class _HasPayload(Protocol):
    @property
    def payload(self) -> bytes: ...


P = TypeVar("P", bound=_HasPayload)


def in_messages(parts: Sequence[P], max_items: int = sys.maxsize) -> Iterator[Sequence[P]]:
    """Parts in lists that fit into a message each; a part that is larger than most has one to itself."""
    if 0 < len(parts) <= max_items and sum([len(part.payload) for part in parts]) <= _FULL_BYTES:
        yield parts  # nearly always, and cheaper than to look at them one by one
        return
    message: list[P] = []
    size = 0
    for part in parts:
        if message and (len(message) == max_items or size + len(part.payload) > _FULL_BYTES):
            yield message
            message, size = [], 0
        message.append(part)
        size += len(part.payload)
    if message:
        yield message

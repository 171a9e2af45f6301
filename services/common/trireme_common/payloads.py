"""How much a message between the services may carry."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import Protocol, TypeVar

from trireme_common.grpc_server import MAX_MESSAGE_BYTES

# What one message may carry in payloads; the rest is for ids, details and request ids.
MAX_PAYLOAD_BYTES = MAX_MESSAGE_BYTES - 1024 * 1024


class _HasPayload(Protocol):
    @property
    def payload(self) -> bytes: ...


P = TypeVar("P", bound=_HasPayload)


def in_messages(parts: Iterable[P], max_items: int = sys.maxsize) -> Iterator[list[P]]:
    """Parts in lists that fit into a message each: grpc ends a stream whose message is too large."""
    message: list[P] = []
    size = 0
    for part in parts:
        if message and (len(message) == max_items or size + len(part.payload) > MAX_PAYLOAD_BYTES):
            yield message
            message, size = [], 0
        message.append(part)
        size += len(part.payload)
    if message:
        yield message

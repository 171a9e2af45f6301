"""The envelope of a value in a shared store: nothing is believed that this platform did not write there.

    magic (4) | schema (1) | length of the value (4) | expiry, ms since the epoch (8) | MAC (16) | value

Numbers are big-endian. The MAC is keyed BLAKE2b-128 over the key, the header before it and the value. The key
already covers tenant, model, version and digests, so a value that was copied under another key is refused.
The expiry lets an answer that is taken from the store into memory end its life there when it should.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
import time
from collections.abc import Callable
from typing import NamedTuple

from trireme_gateway.cache.events import CacheEvents, Rejection

_MAGIC = b"TrRC"
_SCHEMA = 1
_HEAD = struct.Struct(">4sBIQ")
_MAC_BYTES = 16
_BODY = _HEAD.size + _MAC_BYTES
MIN_SECRET_BYTES = 16


class Opened(NamedTuple):
    """A value and the seconds that it may still be used."""

    value: bytes
    ttl_seconds: float


class Sealer:
    """Seals and opens values with one secret, which all gateways of an installation share."""

    def __init__(
        self, secret: bytes, events: CacheEvents, *, wall_clock: Callable[[], float] = time.time
    ) -> None:
        """Raises ValueError for a secret shorter than 16 bytes. `wall_clock`: seconds since the epoch."""
        if len(secret) < MIN_SECRET_BYTES:
            raise ValueError(f"the cache's secret has {len(secret)} bytes, fewer than {MIN_SECRET_BYTES}")
        self._mac = hashlib.blake2b(
            key=hashlib.blake2b(secret).digest(), digest_size=_MAC_BYTES, person=b"trireme-cache"
        )
        self._events = events
        self._wall_clock = wall_clock

    def seal(self, key: bytes, value: bytes, ttl_seconds: float) -> bytes:
        """The bytes to store under `key`. Raises ValueError for a value of 4 GiB or more."""
        if len(value) >= 1 << 32:
            raise ValueError("a cached value must be smaller than 4 GiB")
        expiry = int((self._wall_clock() + ttl_seconds) * 1000)
        head = _HEAD.pack(_MAGIC, _SCHEMA, len(value), expiry)
        return head + self._digest(key, head, value) + value

    def unseal(self, key: bytes, data: bytes) -> Opened | None:
        """The value stored under `key`, or None where `data` is refused; the reason is counted."""
        opened = self._open(key, data)
        if isinstance(opened, Rejection):
            self._events.on_rejected(opened)
            return None
        return opened

    def _open(self, key: bytes, data: bytes) -> Opened | Rejection:
        if len(data) < _BODY:
            return Rejection.TRUNCATED if _MAGIC.startswith(data[: len(_MAGIC)]) else Rejection.MAGIC
        magic, schema, length, expiry = _HEAD.unpack_from(data)
        if magic != _MAGIC:
            return Rejection.MAGIC
        if schema != _SCHEMA:
            return Rejection.SCHEMA
        value = data[_BODY:]
        if length != len(value):
            return Rejection.TRUNCATED
        if not hmac.compare_digest(data[_HEAD.size : _BODY], self._digest(key, data[: _HEAD.size], value)):
            return Rejection.MAC
        remaining = expiry / 1000 - self._wall_clock()
        return Opened(value, remaining) if remaining > 0 else Rejection.EXPIRED

    def _digest(self, key: bytes, head: bytes, value: bytes) -> bytes:
        mac = self._mac.copy()
        mac.update(len(key).to_bytes(4, "big") + key + head)
        mac.update(value)
        return mac.digest()

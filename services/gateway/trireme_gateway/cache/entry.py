"""The envelope of a value in a shared store: nothing is believed that this platform did not write there.

    magic (4) | schema (1) | length of the value (4) | born, stale, gone (8 each) | MAC (16) | value

Numbers are big-endian; times are milliseconds since the epoch. The MAC is keyed BLAKE2b-128 over the key, the
header before it and the value. The key already covers tenant, model, version and digests, so a value that was
copied under another key is refused. The times let an answer that is taken from the store into memory end its
life there when it should.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
import time
from collections.abc import Callable

from trireme_gateway.cache.events import CacheEvents, Rejection
from trireme_gateway.cache.freshness import Held

_MAGIC = b"TrRC"
_SCHEMA = 2
_HEAD = struct.Struct(">4sBIQQQ")
_MAC_BYTES = 16
_BODY = _HEAD.size + _MAC_BYTES
MIN_SECRET_BYTES = 16


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

    def seal(self, key: bytes, value: bytes, ttl_seconds: float, keep_seconds: float = 0.0) -> bytes:
        """The bytes to store under `key`: `value`, stale after `ttl_seconds` and of no use `keep_seconds`
        later. Raises ValueError for a value of 4 GiB or more."""
        if len(value) >= 1 << 32:
            raise ValueError("a cached value must be smaller than 4 GiB")
        born = self._wall_clock()
        stale = born + ttl_seconds
        times = (int(at * 1000) for at in (born, stale, stale + keep_seconds))
        head = _HEAD.pack(_MAGIC, _SCHEMA, len(value), *times)
        return head + self._digest(key, head, value) + value

    def unseal(self, key: bytes, data: bytes) -> Held | None:
        """The value stored under `key`, or None where `data` is refused; the reason is counted."""
        opened = self._open(key, data)
        if isinstance(opened, Rejection):
            self._events.on_rejected(opened)
            return None
        return opened

    def _open(self, key: bytes, data: bytes) -> Held | Rejection:
        if len(data) < _BODY:
            return Rejection.TRUNCATED if _MAGIC.startswith(data[: len(_MAGIC)]) else Rejection.MAGIC
        magic, schema, length, born, stale, gone = _HEAD.unpack_from(data)
        if magic != _MAGIC:
            return Rejection.MAGIC
        if schema != _SCHEMA:
            return Rejection.SCHEMA
        value = data[_BODY:]
        if length != len(value):
            return Rejection.TRUNCATED
        if not hmac.compare_digest(data[_HEAD.size : _BODY], self._digest(key, data[: _HEAD.size], value)):
            return Rejection.MAC
        now = self._wall_clock()
        kept = gone / 1000 - now
        if kept <= 0:
            return Rejection.EXPIRED
        return Held(value, max(0.0, now - born / 1000), stale / 1000 - now, kept)

    def _digest(self, key: bytes, head: bytes, value: bytes) -> bytes:
        mac = self._mac.copy()
        mac.update(len(key).to_bytes(4, "big") + key + head)
        mac.update(value)
        return mac.digest()

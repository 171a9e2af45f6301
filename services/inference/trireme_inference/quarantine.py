"""Which inputs killed a worker process: after the first time they run alone, after the second never."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Iterable
from enum import Enum
from typing import Protocol

from trireme_inference.requests import Part, Shapes

CAPACITY = 1024


class Verdict(Enum):
    """What is to be done with an input."""

    CLEAR = "clear"
    SUSPECT = "suspect"
    """It was in a batch that crashed: it runs alone."""
    REFUSED = "refused"
    """It was in two: it never runs again."""


class Input(Protocol):
    """What a model is given for a request."""

    @property
    def rows(self) -> int: ...
    @property
    def shapes(self) -> Shapes: ...
    @property
    def parts(self) -> tuple[Part, ...]: ...


class Quarantine:
    """Remembers inputs of one model version by a digest, the latest `capacity` of each verdict. Used from
    several threads. While nothing is remembered, nothing is hashed."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._lock = threading.Lock()
        self._suspects: OrderedDict[bytes, None] = OrderedDict()
        self._refused: OrderedDict[bytes, None] = OrderedDict()

    @property
    def empty(self) -> bool:
        """True where every input is clear."""
        return not self._suspects and not self._refused

    @property
    def size(self) -> int:
        """Inputs that are refused."""
        return len(self._refused)

    def verdict(self, given: Input) -> Verdict:
        if self.empty:
            return Verdict.CLEAR
        key = _digest(given)
        with self._lock:
            if key in self._refused:
                self._refused.move_to_end(key)
                return Verdict.REFUSED
            return Verdict.SUSPECT if key in self._suspects else Verdict.CLEAR

    def crashed(self, together: Iterable[Input]) -> int:
        """The process died while it ran these together. Returns how many are newly refused."""
        keys = {_digest(given) for given in together}
        with self._lock:
            again = [key for key in keys if key in self._suspects]
            for key in keys:
                self._suspects[key] = None
            for key in again:
                del self._suspects[key]
                self._refused[key] = None
            # A batch larger than the capacity keeps all of its members: each is still to run alone.
            _trim(self._suspects, max(self._capacity, len(keys)))
            _trim(self._refused, self._capacity)
        return len(again)

    def survived(self, given: Input) -> None:
        """The input ran alone, and the process lives."""
        with self._lock:
            self._suspects.pop(_digest(given), None)


def _trim(kept: OrderedDict[bytes, None], most: int) -> None:
    while len(kept) > most:
        kept.popitem(last=False)


def _digest(given: Input) -> bytes:
    """Of the shapes and the bytes of every input."""
    digest = hashlib.blake2b(repr((given.rows, given.shapes)).encode(), digest_size=16)
    for part in given.parts:
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return digest.digest()

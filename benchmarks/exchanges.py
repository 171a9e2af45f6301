"""Requests with the answers they must have, in the form the load generator reads."""

from __future__ import annotations

from base64 import b64decode, b64encode
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import orjson


@dataclass(frozen=True, slots=True)
class Exchange:
    """A whole HTTP request, and the value that stands at `Exchanges.path` of the right answer."""

    request: bytes
    expected: str | int
    probabilities: dict[str, float] | None = None
    """What the oracle gives each label, where the answer is a classification."""


@dataclass(frozen=True)
class Exchanges:
    """Distinct requests to one kind of server."""

    path: tuple[str | int, ...]
    """Keys that lead from the JSON answer to the value that is checked."""
    exchanges: tuple[Exchange, ...]
    cache: str = "off"
    """What `x-cache` must say where the server has one: `off`, `hit`, `miss`, or `coalesced` for requests
    that stand several times in a row."""
    shares: tuple[str | int, ...] | None = None
    """Keys that lead to a list of the probabilities, in the oracle's order; None is an object of them,
    `probabilities`, beside the value that is checked."""

    def write(self, file: Path) -> None:
        """As JSON; probabilities and their place stay behind: the load generator does not compare them."""
        requests = [b64encode(exchange.request).decode() for exchange in self.exchanges]
        expected = [exchange.expected for exchange in self.exchanges]
        content = {"path": self.path, "cache": self.cache, "requests": requests, "expected": expected}
        file.write_bytes(orjson.dumps(content))

    @classmethod
    def read(cls, file: Path) -> Self:
        content = orjson.loads(file.read_bytes())
        pairs = zip(content["requests"], content["expected"], strict=True)
        exchanges = tuple(Exchange(b64decode(request), expected) for request, expected in pairs)
        return cls(tuple(content["path"]), exchanges, content["cache"])

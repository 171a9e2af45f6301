"""What operators have ordered of models: a version put back, a model unloaded. docs/adr/0008 says why so.

Every stage and every gateway keeps a ledger; what one lacks it learns from the others, over the streams
that they have anyway. Of two orders for a model the one with the higher revision stands, so ledgers that
met agree, in whatever order they met. An order that lifts the ones before it is kept as long as an older
one may come back from somewhere.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Container, Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import orjson

from trireme_common.model_spec import is_model_name
from trireme_protos.trireme.v1 import envelope_pb2

_MAX_UINT64 = 2**64 - 1
_FORGET_AFTER_US = 60_000_000


@dataclass(frozen=True, slots=True, order=True)
class Order:
    """An operator's order for one model. Neither a version nor `unloaded` lifts what was ordered before.

    Compares by revision first; two of one revision are told apart by what they say, alike everywhere.
    """

    revision: int
    """Microseconds since the epoch, or one more than the revision it follows."""
    model: str
    version: str = ""
    """Answers by default, whatever newer versions there are; a number."""
    unloaded: bool = False

    @property
    def lifts(self) -> bool:
        """Whether it leaves the model to its own policy."""
        return not self.version and not self.unloaded


class Ledger:
    """The newest order of every model. `wall_us`: microseconds since the epoch."""

    def __init__(
        self, orders: Iterable[Order] = (), wall_us: Callable[[], int] = lambda: time.time_ns() // 1000
    ) -> None:
        self._wall_us = wall_us
        self._orders: dict[str, Order] = {}
        self.merge(orders)

    def __iter__(self) -> Iterator[Order]:
        return iter(self._orders.values())

    def __len__(self) -> int:
        return len(self._orders)

    def get(self, model: str) -> Order | None:
        return self._orders.get(model)

    def give(self, model: str, *, version: str = "", unloaded: bool = False) -> Order:
        """A new order, which supersedes every one that this ledger knows."""
        before = self._orders.get(model)
        revision = max(self._wall_us(), before.revision + 1 if before else 0)
        order = self._orders[model] = Order(revision, model, version, unloaded)
        return order

    def merge(self, orders: Iterable[Order]) -> list[Order]:
        """Takes over what is newer. Returns what it took."""
        taken = [order for order in orders if self.lacks(order)]
        for order in taken:
            if self.lacks(order):
                self._orders[order.model] = order
        return taken

    def lacks(self, order: Order) -> bool:
        known = self._orders.get(order.model)
        return known is None or order > known

    def missing_from(self, orders: Iterable[Order]) -> list[Order]:
        """What someone who has `orders` lacks."""
        other = Ledger(orders)
        return [order for order in self if other.lacks(order)]

    def forget(self, known_models: Container[str]) -> None:
        """Drops what only lifts orders, of models that nobody has, once nothing older is on its way."""
        for order in list(self):
            if self.outlived(order, known_models):
                del self._orders[order.model]

    def outlived(self, order: Order, known_models: Container[str]) -> bool:
        """Whether `forget` would drop it."""
        old = self._wall_us() - order.revision > _FORGET_AFTER_US
        return old and order.lifts and order.model not in known_models


def encode_orders(orders: Iterable[Order]) -> list[envelope_pb2.Order]:
    """Protobuf form."""
    return [
        envelope_pb2.Order(
            model=order.model, revision=order.revision, version=order.version, unloaded=order.unloaded
        )
        for order in orders
    ]


def decode_orders(messages: Iterable[envelope_pb2.Order]) -> tuple[Order, ...]:
    """Inverse of `encode_orders`; leaves out what no gateway of ours gives."""
    orders = (
        Order(message.revision, message.model, message.version, message.unloaded) for message in messages
    )
    return tuple(filter(_sound, orders))


def dump_orders(orders: Iterable[Order]) -> bytes:
    """JSON form, for files and Redis."""
    return orjson.dumps({"orders": [asdict(order) for order in sorted(orders)]}, option=orjson.OPT_INDENT_2)


def parse_orders(data: bytes) -> list[Order]:
    """Inverse of `dump_orders`. Raises ValueError for what it did not write."""
    try:
        entries: list[dict[str, Any]] = orjson.loads(data)["orders"]
        orders = [Order(**entry) for entry in entries]
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(f"no list of orders: {type(error).__name__}") from error
    if not all(map(_sound, orders)):
        raise ValueError("an order in it is none")
    return orders


def _sound(order: Order) -> bool:
    return (
        type(order.revision) is int
        and 0 < order.revision <= _MAX_UINT64
        and type(order.model) is str
        and is_model_name(order.model)
        and type(order.version) is str
        and (not order.version or is_version(order.version))
        and type(order.unloaded) is bool
    )


def is_version(text: str) -> bool:
    """Whether `text` is written as versions are: a number without leading zeros."""
    return len(text) <= 18 and text.isascii() and text.isdigit() and str(int(text)) == text

"""Orders on disk, so that they outlive the processes. Several stages may share the file."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import threading
from collections.abc import Container, Iterable
from pathlib import Path

import structlog

from trireme_common.orders import Ledger, Order, dump_orders, parse_orders

logger = structlog.get_logger(__name__)

ORDERS_FILE = ".trireme-orders.json"
_MAX_BYTES = 16 * 1024 * 1024


class OrdersFile:
    """The file in `directory`. Called in threads; a directory that cannot be written is said once.

    Writers do not lock it: whoever was overtaken finds his orders missing at his next look, and adds them.
    """

    def __init__(self, directory: Path) -> None:
        self._path = directory / ORDERS_FILE
        self._lock = threading.Lock()
        self._complained = False

    def exchange(self, orders: Iterable[Order], known_models: Container[str]) -> list[Order]:
        """Writes what the file lacks of `orders`, without what is outlived; returns what it holds.

        Never raises OSError.
        """
        with self._lock:
            held = self.read()
            ledger = Ledger(held)
            ledger.merge(orders)
            ledger.forget(known_models)
            if sorted(ledger) != sorted(held):
                self._write(ledger)
            return list(ledger)

    def versions(self) -> dict[str, int]:
        """Versions that were put back, by model. Never raises OSError."""
        return {order.model: int(order.version) for order in Ledger(self.read()) if order.version}

    def read(self) -> list[Order]:
        """What it holds; nothing where it cannot be read. Never raises OSError."""
        try:
            with self._path.open("rb") as file:
                return parse_orders(file.read(_MAX_BYTES))
        except FileNotFoundError:
            return []
        except (OSError, ValueError) as error:
            self._complain("orders_unreadable", error)
            return []

    def _write(self, ledger: Ledger) -> None:
        # A name that nobody else has: in containers that share a volume every process has the same number.
        fresh = self._path.with_name(f"{ORDERS_FILE}.{secrets.token_hex(8)}")
        try:
            with fresh.open("wb") as file:
                file.write(dump_orders(ledger))
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(self._path)
        except OSError as error:
            with contextlib.suppress(OSError):
                fresh.unlink(missing_ok=True)
            self._complain("orders_not_kept", error)

    def _complain(self, event: str, error: Exception) -> None:
        if not self._complained:
            self._complained = True
            logger.warning(
                event,
                reason=getattr(error, "strerror", None) or str(error),
                hint="TRIREME_STATE_DIR names a directory that lasts; until then other replicas remember",
            )


class StandingOrders:
    """The orders that a stage knows, and which of them it has carried out."""

    def __init__(self, directory: Path) -> None:
        self._known = Ledger()
        self._done = Ledger()
        self._file = OrdersFile(directory)

    @property
    def done(self) -> tuple[Order, ...]:
        """Those that were carried out, in a fixed order."""
        return tuple(sorted(self._done))

    def all(self) -> tuple[Order, ...]:
        return tuple(self._known)

    def get(self, model: str) -> Order | None:
        return self._known.get(model)

    def outstanding(self, model: str) -> bool:
        """Whether the model's order is still to be carried out."""
        order = self._known.get(model)
        return order is not None and self._done.lacks(order)

    def take(self, orders: Iterable[Order], models: Container[str]) -> list[str]:
        """Takes over what is new. Returns the models that it is about; `models` are those on disk."""
        fresh = [order for order in orders if not self._known.outlived(order, models)]
        return [order.model for order in self._known.merge(fresh)]

    def carried_out(self, orders: Iterable[Order]) -> None:
        self._done.merge(orders)

    async def exchange(self, models: Container[str]) -> None:
        """Brings what is known and the file in step; `models` are those on disk."""
        self._known.merge(await asyncio.to_thread(self._file.exchange, self.all(), models))
        self._known.forget(models)
        self._done.forget(models)

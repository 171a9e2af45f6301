"""What operators do to models while the platform runs: load, unload, put an older version back.

Each is an order that every endpoint carries out; the answer waits until they have.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from trireme_common.errors import Code, TriremeError
from trireme_common.model_spec import INFERENCE_SUFFIX, is_model_name
from trireme_common.orders import Order, is_version
from trireme_common.stage_state import State
from trireme_gateway.catalog import INFERENCE, Catalog
from trireme_gateway.orders import OrderDesk


def check_load_parameters(names: Collection[str]) -> None:
    """Raises TriremeError for parameters that a load cannot honour, which are all of Triton's."""
    if names:
        raise TriremeError(
            Code.INVALID_ARGUMENT,
            f"a model is loaded as it stands in the repository: no parameter '{min(names)}'",
        )


def check_unload_parameters(names: Collection[str]) -> None:
    """As `check_load_parameters`; no model depends on another, so that `unload_dependents` is honoured."""
    unknown = set(names) - {"unload_dependents"}
    if unknown:
        raise TriremeError(Code.INVALID_ARGUMENT, f"unloading takes no parameter '{min(unknown)}'")


class Repository:
    """`refresh` brings the catalog up to date. Deadlines are in seconds of the monotonic clock.

    All raise TriremeError: MODEL_NOT_FOUND, INVALID_ARGUMENT where the model or version cannot be served,
    BACKEND_UNAVAILABLE where an endpoint does not, DEADLINE_EXCEEDED where one is too slow.
    """

    def __init__(
        self,
        catalog: Catalog | None = None,
        desk: OrderDesk | None = None,
        refresh: Callable[[], None] = lambda: None,
    ) -> None:
        self._catalog = catalog if catalog is not None else Catalog()
        self._desk = desk if desk is not None else OrderDesk()
        self._refresh = refresh

    async def load(self, name: str, deadline: float) -> str:
        """Serves a model as its own policy says, whatever was ordered before; tries again what had failed,
        and loads what is lazy. Returns the version that answers."""
        model = self._named(name)
        await self._order(model, deadline)
        self._known(model)
        version = self._catalog.health()[model].version
        if not version:
            reason = self._catalog.health()[model].reason
            raise TriremeError(Code.INVALID_ARGUMENT, f"model '{model}' cannot be loaded: {reason}")
        return version

    async def unload(self, name: str, deadline: float) -> None:
        """Serves the model no more, through restarts, until it is loaded."""
        model = self._named(name)
        self._known(model)
        await self._order(model, deadline, unloaded=True)

    async def rollback(self, name: str, version: str | None, deadline: float) -> str:
        """Lets an older version answer, the newest that is good where none is named, through restarts, until
        the model is loaded. Returns the version."""
        model = self._named(name)
        self._known(model)
        wanted = self._wanted(model, version)
        before = self._desk.ledger.get(model)
        order = await self._order(model, deadline, version=wanted)
        failed = self._failed(model, wanted)
        if not failed:
            return wanted
        if len(failed) < len(self._desk.replicas(INFERENCE)):
            places = "; ".join(f"{address}: {reason}" for address, reason in failed.items())
            raise TriremeError(
                Code.BACKEND_UNAVAILABLE, f"version {wanted} of '{model}' answers now, but not from {places}"
            )
        if self._desk.ledger.get(model) == order:
            self._withdraw(model, before)
        reason = next(iter(failed.values()))
        current = self._catalog.health()[model].version
        raise TriremeError(
            Code.INVALID_ARGUMENT,
            f"version {wanted} of '{model}' cannot be loaded: {reason}; "
            + (f"version {current} goes on" if current else "no version answers"),
        )

    def _named(self, name: str) -> str:
        model = name.removesuffix(INFERENCE_SUFFIX)
        if not is_model_name(model):
            raise TriremeError(Code.MODEL_NOT_FOUND, f"unknown model '{name}'")
        self._connected()
        return model

    def _connected(self) -> None:
        missing = [stage for stage, endpoints in self._catalog.connected.items() if not endpoints]
        if missing:
            raise TriremeError(Code.BACKEND_UNAVAILABLE, f"no endpoint of {', '.join(missing)} is connected")

    def _known(self, model: str) -> None:
        health = self._catalog.health()
        if model not in health:
            raise TriremeError(
                Code.MODEL_NOT_FOUND,
                f"unknown model '{model}'; the repository has {', '.join(health) or 'none'}",
            )

    def _wanted(self, model: str, version: str | None) -> str:
        stored = self._catalog.stored(model)
        there = f"in the repository: {', '.join(stored) or 'none that can be served'}"
        if version is None:
            current = self._catalog.health()[model].version
            older = [
                found for found in self._catalog.stored(model, good=True) if int(found) < int(current or 0)
            ]
            if not older:
                what = (
                    f"older than {current}, which answers now"
                    if current
                    else "to be told, as none answers now"
                )
                raise TriremeError(
                    Code.INVALID_ARGUMENT, f"model '{model}' has no good version {what}; {there}"
                )
            return older[-1]
        if not is_version(version):
            raise TriremeError(Code.INVALID_ARGUMENT, f"'{version}' is no version; {there}")
        if version not in stored:
            raise TriremeError(Code.MODEL_NOT_FOUND, f"model '{model}' has no version '{version}'; {there}")
        return version

    async def _order(
        self, model: str, deadline: float, *, version: str = "", unloaded: bool = False
    ) -> Order:
        order = self._desk.ledger.give(model, version=version, unloaded=unloaded)
        self._refresh()
        await self._desk.carried_out(order, deadline)
        self._connected()  # of those that were there, all may have gone
        return order

    def _withdraw(self, model: str, before: Order | None) -> None:
        version, unloaded = (before.version, before.unloaded) if before is not None else ("", False)
        self._desk.ledger.give(model, version=version, unloaded=unloaded)
        self._refresh()

    def _failed(self, model: str, version: str) -> dict[str, str]:
        """Addresses of the inference endpoints that do not have the version, and why."""
        failed: dict[str, str] = {}
        for replica in self._desk.replicas(INFERENCE):
            models = replica.state.models if replica.state is not None else ()
            entries = [entry for entry in models if (entry.name, entry.version) == (model, version)]
            if not any(entry.state is State.READY for entry in entries):
                reasons = [entry.reason for entry in entries if entry.reason]
                failed[replica.address] = "; ".join(reasons) or "its files are not there"
        return failed

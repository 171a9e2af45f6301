"""What operators do to models while the platform runs: load, unload, put an older version back.

Each is an order that every endpoint carries out; the answer waits until they have.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from trireme_common.errors import Code, TriremeError
from trireme_common.model_spec import INFERENCE_SUFFIX, is_model_name
from trireme_common.orders import Order, is_version
from trireme_common.stage_state import ModelVersion, State
from trireme_gateway.catalog import INFERENCE, Catalog
from trireme_gateway.model_overrides import Override, OverrideFiles, read_override
from trireme_gateway.orders import OrderDesk


def check_unload_parameters(parameters: Mapping[str, Any]) -> None:
    """Raises TriremeError(INVALID_ARGUMENT) for parameters that there are not. No model depends on another,
    so that `unload_dependents` is honoured."""
    unknown = set(parameters) - {"unload_dependents"}
    if unknown:
        raise TriremeError(Code.INVALID_ARGUMENT, f"unloading takes no parameter '{min(unknown)}'")
    if not isinstance(parameters.get("unload_dependents", False), bool):
        raise TriremeError(Code.INVALID_ARGUMENT, "parameter 'unload_dependents' must be true or false")


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
        overrides: OverrideFiles | None = None,
    ) -> None:
        self._catalog = catalog if catalog is not None else Catalog()
        self._desk = desk if desk is not None else OrderDesk()
        self._refresh = refresh
        self._overrides = overrides if overrides is not None else OverrideFiles()
        self._overriding = asyncio.Lock()

    async def load(self, name: str, deadline: float, parameters: Mapping[str, Any] | None = None) -> str:
        """Serves a model as its own policy says, whatever was ordered before; tries again what had failed,
        and loads what is lazy. Returns the version that answers.

        `parameters` may bring a configuration and files along, which hold until the model is loaded
        without, or unloaded; a load with them that fails changes nothing.
        """
        model = self._named(name)
        override = read_override(model, parameters or {})
        if override is not None:
            async with self._overriding:
                return await self._load_override(model, override, deadline)
        await self._take_away(model)
        return await self._load(model, deadline)

    async def _load(self, model: str, deadline: float) -> str:
        await self._order(model, deadline)
        self._known(model)
        version = self._catalog.health()[model].version
        if not version:
            reason = self._catalog.health()[model].reason
            raise TriremeError(Code.INVALID_ARGUMENT, f"model '{model}' cannot be loaded: {reason}")
        return version

    async def _load_override(self, model: str, override: Override, deadline: float) -> str:
        before, order = self._served(model), self._desk.ledger.get(model)
        undo = await asyncio.to_thread(self._overrides.put, model, override)
        try:
            version = await self._load(model, deadline)
            self._check_served(model, override, before)
        except BaseException:
            await asyncio.to_thread(undo.undo)
            self._withdraw(model, order)  # the stages look again, and find what was there before
            raise
        await asyncio.to_thread(undo.keep)
        return version

    async def _take_away(self, model: str) -> None:
        async with self._overriding:
            await asyncio.to_thread(self._overrides.take_away, model)

    async def unload(self, name: str, deadline: float) -> None:
        """Serves the model no more, through restarts, until it is loaded."""
        model = self._named(name)
        self._known(model)
        await self._order(model, deadline, unloaded=True)
        await self._take_away(model)

    async def rollback(self, name: str, version: str | None, deadline: float) -> str:
        """Lets an older version answer, the newest that is good where none is named, through restarts, until
        the model is loaded. Returns the version."""
        model = self._named(name)
        self._known(model)
        before = self._desk.ledger.get(model)
        refusals: list[str] = []
        for wanted in self._wanted(model, version):
            try:
                order = await self._order(model, deadline, version=wanted)
            except TriremeError as error:
                raise TriremeError(error.code, "; ".join([*refusals, error.detail])) from error
            failed = self._failed(model, wanted)
            if not failed:
                return wanted
            self._check_nowhere(model, wanted, failed)
            reason = next(iter(failed.values()))
            refusals.append(f"version {wanted} of '{model}' cannot be loaded: {reason}")
            if self._desk.ledger.get(model) != order:
                break  # somebody else has ordered something by now
        else:
            self._withdraw(model, before)
        current = self._catalog.health()[model].version
        refusals.append(f"version {current} goes on" if current else "no version answers")
        raise TriremeError(Code.INVALID_ARGUMENT, "; ".join(refusals))

    def _check_nowhere(self, model: str, version: str, failed: Mapping[str, str]) -> None:
        """Raises where only some of the endpoints could not load a version."""
        if len(failed) < len(self._desk.replicas(INFERENCE)):
            places = "; ".join(f"{address}: {reason}" for address, reason in failed.items())
            raise TriremeError(
                Code.BACKEND_UNAVAILABLE, f"version {version} of '{model}' answers now, but not from {places}"
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

    def _wanted(self, model: str, version: str | None) -> list[str]:
        """The version that is named; else those older than the one that answers, or all where none does,
        without those that are known to be bad, newest first."""
        stored = self._catalog.stored(model)
        there = f"in the repository: {', '.join(stored) or 'none that can be served'}"
        if version is None:
            current = self._catalog.health()[model].version
            good = self._catalog.stored(model, good=True)
            older = [found for found in good if not current or int(found) < int(current)]
            if not older:
                what = f"older than {current}, which answers now" if current else "that could answer"
                raise TriremeError(
                    Code.INVALID_ARGUMENT, f"model '{model}' has no good version {what}; {there}"
                )
            return older[::-1]
        if not is_version(version):
            raise TriremeError(Code.INVALID_ARGUMENT, f"'{version}' is no version; {there}")
        if version not in stored:
            raise TriremeError(Code.MODEL_NOT_FOUND, f"model '{model}' has no version '{version}'; {there}")
        return [version]

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

    def _served(self, model: str) -> dict[tuple[str, str], ModelVersion]:
        """What the inference endpoints have of a model, by their addresses and its versions."""
        return {
            (replica.address, entry.version): entry
            for replica in self._desk.replicas(INFERENCE)
            for entry in (replica.state.models if replica.state is not None else ())
            if entry.name == model
        }

    def _check_served(
        self, model: str, override: Override, before: Mapping[tuple[str, str], ModelVersion]
    ) -> None:
        """Raises where an endpoint goes on with what it had `before`, as it does when a load fails."""
        now = self._served(model)
        for replica in self._desk.replicas(INFERENCE):
            here = {at: entry for at, entry in now.items() if at[0] == replica.address}
            if not any(
                entry.state is State.READY
                and (not override.files or entry.version in override.versions)
                and not _goes_on(before.get(at), entry)
                for at, entry in here.items()
            ):
                reasons = "; ".join(dict.fromkeys(entry.reason for entry in here.values() if entry.reason))
                raise TriremeError(
                    Code.INVALID_ARGUMENT, f"failed to load '{model}': {reasons or 'no version is ready'}"
                )

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


def _goes_on(before: ModelVersion | None, now: ModelVersion) -> bool:
    """Whether an endpoint still serves what it served, because what came could not be loaded."""
    if before is None or before.descriptor is None or now.descriptor is None:
        return False
    return before.descriptor.digest == now.descriptor.digest and now.reason not in ("", before.reason)

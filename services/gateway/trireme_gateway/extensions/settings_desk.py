"""Where callers ask for log and trace settings and change them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from trireme_common.logs import LogSwitch
from trireme_gateway.extensions.log_settings import FORMATS
from trireme_gateway.extensions.settings_tracer import SettingsTracer
from trireme_gateway.extensions.state import ExtensionState
from trireme_gateway.extensions.store import StateStore


class SettingsDesk:
    """Settings of this gateway. Changes raise TriremeError(INVALID_ARGUMENT) and then change nothing."""

    def __init__(self, store: StateStore | None = None) -> None:
        self._store = store or StateStore()

    def log_settings(self) -> dict[str, bool | int | str]:
        """As Triton answers them."""
        return self._store.state.log.values()

    async def change_log_settings(self, given: Mapping[str, Any]) -> dict[str, bool | int | str]:
        """Only what is given; null leaves a setting as it is. Returns all of them."""
        if given:
            await self._store.change(lambda state: replace(state, log=state.log.changed(given)))
        return self.log_settings()

    def trace_settings(self, model: str) -> dict[str, str | list[str]]:
        """What holds for a model, or for all that have no settings of their own where it is empty."""
        trace = self._store.state.trace
        return trace.values(model, self._store.tickets.taken(trace.plan(model).ticket))

    async def change_trace_settings(self, model: str, given: Mapping[str, Any]) -> dict[str, str | list[str]]:
        """Only what is given; null or an empty list clears a setting. Returns all of them."""

        def change(state: ExtensionState) -> ExtensionState:
            ticket = f"traces-{state.revision + 1}"
            return replace(state, trace=state.trace.changed(model, given, ticket))

        if given:
            await self._store.change(change)
        return self.trace_settings(model)


def apply_settings(store: StateStore, log: LogSwitch, tracer: SettingsTracer) -> None:
    """Has what the store says take effect in this process, from now on."""

    def apply(state: ExtensionState) -> None:
        log.set_levels(state.log.levels)
        log.set_text(state.log.format != FORMATS[0])
        tracer.apply(state.trace)

    store.listen(apply)

"""The models without which a stage is not ready."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

import structlog

from trireme_common.errors import SettingsError
from trireme_common.model_spec import is_model_name
from trireme_common.stage_state import StageState, State

logger = structlog.get_logger(__name__)


class StateSource(Protocol):
    """What publishes the state of a stage."""

    @property
    def state(self) -> StageState: ...

    def subscribe(self, listener: Callable[[StageState], None]) -> Callable[[], None]: ...


def parse_models(text: str, variable: str) -> frozenset[str]:
    """Names with commas or blanks between. Raises SettingsError, which names the variable."""
    names = frozenset(re.split(r"[,\s]+", text.strip())) - {""}
    for name in sorted(names):
        if not is_model_name(name):
            raise SettingsError(f"{variable}: '{name}' is no name of a model")
    return names


def missing_models(state: StageState, names: Iterable[str]) -> Mapping[str, str]:
    """Those of `names` of which no version is READY, and why not.

    One that an operator ordered to be unloaded is not missing: the order stands above the setting, and a pod
    that waited for it would never become ready.
    """
    unloaded = {order.model for order in state.orders if order.unloaded}
    found: dict[str, str] = {}
    for name in sorted(set(names) - unloaded):
        versions = [model for model in state.models if model.name == name]
        if any(model.state is State.READY for model in versions):
            continue
        reasons = [model.reason or model.state.lower() for model in versions]
        found[name] = "; ".join(dict.fromkeys(reasons)) or "not in the repository"
    return found


async def wait_for_models(source: StateSource, names: Iterable[str]) -> None:
    """Returns once none of `names` is missing; says in the log what is waited for, whenever that changes."""
    names = frozenset(names)
    changed = asyncio.Event()
    unsubscribe = source.subscribe(lambda _: changed.set())
    told: Mapping[str, str] = {}
    try:
        while missing := missing_models(source.state, names):
            if missing != told:
                logger.warning("not_ready", missing_models=dict(missing))
                told = missing
            await changed.wait()
            changed.clear()
    finally:
        unsubscribe()

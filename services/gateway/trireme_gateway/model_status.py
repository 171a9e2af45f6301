"""What is said of a model and of its versions, from what the endpoints and the orders say."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass

from trireme_common.orders import Order
from trireme_common.stage_state import ModelVersion, State

UNLOADED = "unloaded"
_WAITS = "waits until every stage has it"


@dataclass(frozen=True, slots=True)
class ModelHealth:
    """State of a model as a whole; `version` is the one that answers by default, or empty."""

    state: State
    version: str
    reason: str
    task: str
    unloaded: bool = False
    """By an operator: nothing is wrong with it."""


@dataclass(frozen=True, slots=True)
class VersionStatus:
    """One version, or the model as a whole where `version` is empty."""

    name: str
    version: str
    state: State
    reason: str


def health_of(entries: list[ModelVersion], default: str | None, order: Order | None) -> ModelHealth:
    """The model as a whole: `entries` are all stages' words of it, `default` is the version that answers."""
    task = next((entry.descriptor.task for entry in entries if entry.descriptor), "")
    if order is not None and order.unloaded:
        return ModelHealth(State.UNAVAILABLE, "", UNLOADED, task, unloaded=True)
    reasons = [
        f"version {entry.version}: {entry.reason}" if entry.version else entry.reason
        for entry in entries
        if entry.reason
    ]
    if order is not None and order.version:
        held = f"version {order.version} was put back"
        reasons.insert(0, held if default == order.version else f"{held}, but is not there")
    reason = "; ".join(dict.fromkeys(reasons))
    if default is not None:
        return ModelHealth(State.READY, default, reason, task)
    loading = any(entry.state is State.LOADING for entry in entries) or not reason
    return ModelHealth(State.LOADING if loading else State.UNAVAILABLE, "", reason, task)


def stored_of(name: str, keepers: Iterable[Mapping[tuple[str, str], ModelVersion]]) -> tuple[str, ...]:
    """Preprocess and postprocess keep every version on disk; a version that leaves it is UNLOADING there."""
    ready = [
        {version for (model, version), entry in seen.items() if model == name and entry.state is State.READY}
        for seen in keepers
    ]
    return tuple(sorted(set.intersection(*ready), key=by_number))


def statuses_of(
    name: str,
    entries: list[ModelVersion],
    settled: list[str],
    routable: Container[str],
    health: ModelHealth,
    inference: Mapping[tuple[str, str], ModelVersion],
) -> tuple[VersionStatus, ...]:
    """Every version that is or was to be served; the model as a whole where there is none."""
    found: dict[str, VersionStatus] = {}
    for version in sorted({entry.version for entry in entries}, key=by_number):
        mine = [entry for entry in entries if entry.version == version]
        reason = "; ".join(dict.fromkeys(entry.reason for entry in mine if entry.reason))
        if health.unloaded:
            found[version] = VersionStatus(name, version, State.UNAVAILABLE, UNLOADED)
        elif version in routable:
            state = State.READY if version in settled else State.UNLOADING
            found[version] = VersionStatus(name, version, state, reason)
        elif any(entry.state is State.UNAVAILABLE for entry in mine):
            found[version] = VersionStatus(name, version, State.UNAVAILABLE, reason)
        elif (name, version) in inference and all(entry.state is State.READY for entry in mine):
            found[version] = VersionStatus(name, version, State.UNAVAILABLE, _WAITS)
    return tuple(found.values()) or (VersionStatus(name, "", health.state, health.reason),)


def by_number(version: str) -> int:
    return int(version) if version.isdigit() else -1

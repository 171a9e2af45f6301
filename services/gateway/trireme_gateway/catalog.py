"""Which versions of which models can be asked for right now, put together from all endpoints.

A version is routable when at least one endpoint of each stage that it needs has it. READY versions
are preferred; one that is about to be unloaded still serves while nothing newer is routable.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from trireme_common.errors import Code, TriremeError
from trireme_common.model_spec import INFERENCE_SUFFIX
from trireme_common.stage_state import ModelDescriptor, ModelVersion, StageState, State

PREPROCESS, INFERENCE, POSTPROCESS = "preprocess", "inference", "postprocess"
STAGES = (PREPROCESS, INFERENCE, POSTPROCESS)


@dataclass(frozen=True, slots=True)
class Route:
    """One version of one model, as a request is bound to it for all its hops."""

    name: str
    """As the caller says it: the model's name, or `<name>.inference` for its bare tensor model."""
    model: str
    version: str
    descriptor: ModelDescriptor
    digests: tuple[str, ...]
    """Content digests of the version as each stage read it."""
    bare: bool = False
    """Tensors in, tensors out: only inference is asked."""


@dataclass(frozen=True, slots=True)
class ModelHealth:
    """State of a model as a whole; `version` is the one that answers by default, or empty."""

    state: State
    version: str
    reason: str
    task: str


@dataclass(frozen=True, slots=True)
class _Model:
    routes: Mapping[str, Route]
    bare: Mapping[str, Route]
    """The same versions as bare tensor models."""
    default: str | None
    health: ModelHealth


class Catalog:
    """Routing table; `rebuild` replaces it as one immutable map whenever an endpoint changes."""

    def __init__(self) -> None:
        self._models: Mapping[str, _Model] = {}
        self._connected: Mapping[str, int] = dict.fromkeys(STAGES, 0)
        self.device = ""
        self.was_ready = False
        """Whether any model was ever routable since the gateway started."""

    def rebuild(self, states: Mapping[str, Iterable[StageState]]) -> None:
        """Takes the states of the connected endpoints of every stage."""
        by_stage = {stage: list(states.get(stage, ())) for stage in STAGES}
        seen = {stage: _merge(found) for stage, found in by_stage.items()}
        names = sorted({name for merged in seen.values() for name, _ in merged})
        self._connected = {stage: len(found) for stage, found in by_stage.items()}
        self._models = {name: _build(name, seen) for name in names}
        self.device = next((state.device for state in by_stage[INFERENCE] if state.device), "")
        self.was_ready = self.was_ready or self.ready

    @property
    def ready(self) -> bool:
        """Every stage has an endpoint and at least one model is routable."""
        return all(self._connected.values()) and any(model.routes for model in self._models.values())

    @property
    def connected(self) -> Mapping[str, int]:
        """Number of connected endpoints, by stage."""
        return self._connected

    def names(self) -> list[str]:
        """Models that are routable now."""
        return [name for name, model in self._models.items() if model.routes]

    def health(self) -> dict[str, ModelHealth]:
        """State of every model that any stage knows."""
        return {name: model.health for name, model in self._models.items()}

    def versions(self, name: str) -> list[str]:
        """Routable versions of a model, oldest first."""
        model = self._models.get(name.removesuffix(INFERENCE_SUFFIX))
        return sorted(model.routes, key=_number) if model else []

    def resolve(self, name: str, version: str | None = None) -> Route:
        """The route for a request. Raises TriremeError(MODEL_NOT_FOUND or MODEL_NOT_READY)."""
        base = name.removesuffix(INFERENCE_SUFFIX)
        model = self._models.get(base)
        if model is None:
            self._check_stages()
            raise TriremeError(Code.MODEL_NOT_FOUND, f"unknown model '{name}'; served: {self._choices()}")
        if not model.routes:
            if self.was_ready:
                self._check_stages()
            reason = f": {model.health.reason}" if model.health.reason else ""
            raise TriremeError(
                Code.MODEL_NOT_READY, f"model '{name}' is {model.health.state.lower()}{reason}"
            )
        routes = model.routes if name == base else model.bare
        route = routes.get(version or model.default or "")
        if route is None:
            known = ", ".join(self.versions(base))
            raise TriremeError(
                Code.MODEL_NOT_FOUND, f"model '{name}' has no version '{version}'; ready: {known}"
            )
        return route

    def default_for(self, tasks: tuple[str, ...], configured: str | None, kind: str) -> Route:
        """The model that answers requests of a kind that name none: the configured one, else the only one.

        Raises TriremeError(INVALID_ARGUMENT) listing the choices where there are several or none.
        """
        if configured:
            return self.resolve(configured)
        matching = [name for name, model in self._models.items() if model.health.task in tasks]
        if len(matching) == 1:
            return self.resolve(matching[0])
        self._check_stages()
        if not matching:
            raise TriremeError(
                Code.INVALID_ARGUMENT, f"no model for {kind} is served; served: {self._choices()}"
            )
        raise TriremeError(
            Code.INVALID_ARGUMENT,
            f"several models take {kind}; name one with ?model=: {', '.join(sorted(matching))}",
        )

    def _check_stages(self) -> None:
        """Raises where a name may be unknown only because the stages that know it are not there."""
        if not self.was_ready:
            raise TriremeError(Code.MODEL_NOT_READY, "the platform is still loading its models")
        missing = [stage for stage, endpoints in self._connected.items() if not endpoints]
        if missing:
            raise TriremeError(Code.BACKEND_UNAVAILABLE, f"no endpoint of {', '.join(missing)} is connected")

    def _choices(self) -> str:
        return ", ".join(self.names()) or "none"


_Seen = dict[tuple[str, str], ModelVersion]

_RANK = {State.READY: 0, State.UNLOADING: 1, State.LOADING: 2, State.UNAVAILABLE: 3}


def _merge(states: list[StageState]) -> _Seen:
    """The best state of every version over the endpoints of one stage."""
    merged: _Seen = {}
    for state in states:
        for model in state.models:
            key = (model.name, model.version)
            if key not in merged or _RANK[model.state] < _RANK[merged[key].state]:
                merged[key] = model
    return merged


def _build(name: str, seen: Mapping[str, _Seen]) -> _Model:
    versions = {version for merged in seen.values() for model, version in merged if model == name and version}
    routes: dict[str, Route] = {}
    settled: list[str] = []
    for version in sorted(versions, key=_number):
        found = [seen[stage].get((name, version)) for stage in STAGES]
        route = _route(name, version, found)
        if route is not None:
            routes[version] = route
            if all(entry is not None and entry.state is State.READY for entry in found):
                settled.append(version)
    preferred = settled or list(routes)
    default = preferred[-1] if preferred else None
    bare = {
        version: replace(route, name=name + INFERENCE_SUFFIX, bare=True) for version, route in routes.items()
    }
    return _Model(routes, bare, default, _health(name, routes, default, seen))


def _route(name: str, version: str, found: list[ModelVersion | None]) -> Route | None:
    descriptors = [entry.descriptor if entry is not None else None for entry in found]
    preprocess, inference, postprocess = descriptors
    if preprocess is None or inference is None or postprocess is None:
        return None
    merged = replace(inference, labels=postprocess.labels)
    digests = (preprocess.digest, inference.digest, postprocess.digest)
    return Route(name, name, version, merged, digests, bare=inference.task == "tensor")


def _health(
    name: str, routes: Mapping[str, Route], default: str | None, seen: Mapping[str, _Seen]
) -> ModelHealth:
    entries = [entry for merged in seen.values() for (model, _), entry in merged.items() if model == name]
    reason = "; ".join(
        dict.fromkeys(
            f"version {entry.version}: {entry.reason}" if entry.version else entry.reason
            for entry in entries
            if entry.reason
        )
    )
    task = next((entry.descriptor.task for entry in entries if entry.descriptor), "")
    if default is not None:
        return ModelHealth(State.READY, default, reason, task)
    loading = any(entry.state is State.LOADING for entry in entries) or not reason
    return ModelHealth(State.LOADING if loading else State.UNAVAILABLE, "", reason, task)


def _number(version: str) -> int:
    return int(version) if version.isdigit() else -1

"""Which versions of which models can be asked for right now, put together from all endpoints.

A version is routable when at least one endpoint of each stage that it needs has it. A version that was
put back answers by default, else the newest; READY versions are preferred, and one that is about to be
unloaded still serves while nothing else is routable. A model that was unloaded is not routable. One that
preprocess and postprocess have, and of which inference says nothing or that it is loading, is asleep.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from trireme_common.errors import Code, TriremeError
from trireme_common.lacking import Lacking
from trireme_common.model_spec import INFERENCE_SUFFIX
from trireme_common.orders import Ledger, Order
from trireme_common.stage_state import ModelDescriptor, ModelVersion, StageState, State
from trireme_gateway.foreign_models import adopted, lone
from trireme_gateway.lacking import Seen, lacking_versions
from trireme_gateway.mixed_content import best_of, may_cache
from trireme_gateway.model_status import (
    ModelHealth,
    VersionStatus,
    by_number,
    health_of,
    statuses_of,
    stored_of,
)

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


class Asleep(TriremeError):
    """Only inference lacks the model: its pool has no endpoint, or one that is still loading."""

    def __init__(self, code: Code, detail: str, model: str) -> None:
        super().__init__(code, detail)
        self.model = model


@dataclass(frozen=True, slots=True)
class _Model:
    routes: Mapping[str, Route]
    bare: Mapping[str, Route]
    """The same versions as bare tensor models."""
    default: str | None
    health: ModelHealth
    stored: tuple[str, ...]
    """Versions on disk that preprocess and postprocess can serve, oldest first."""
    statuses: tuple[VersionStatus, ...]
    asleep: bool

    @property
    def failed(self) -> set[str]:
        return {status.version for status in self.statuses if status.state is State.UNAVAILABLE}


class Catalog:
    """Routing table; `rebuild` replaces it as one immutable map whenever an endpoint changes."""

    def __init__(self, *, inference_sleeps: bool = False) -> None:
        """`inference_sleeps`: inference may have no endpoint at all; which models there are is then what
        preprocess and postprocess say."""
        self._inference_sleeps = inference_sleeps
        self._models: Mapping[str, _Model] = {}
        self._connected: Mapping[str, int] = dict.fromkeys(STAGES, 0)
        self.listed = False
        """Whether preprocess and postprocess have said which models there are."""
        self.lacking: Lacking | None = None
        """Versions that preprocess or postprocess lacks; None while they have not said."""
        self.device = ""
        self.was_ready = False
        """Whether any model was ever routable since the gateway started."""

    def rebuild(self, states: Mapping[str, Iterable[StageState]], orders: Ledger | None = None) -> None:
        """Takes the states of the connected endpoints of every stage, and what was ordered."""
        orders = orders if orders is not None else Ledger()
        by_stage = {stage: list(states.get(stage, ())) for stage in STAGES}
        seen = {stage: _merge(found) for stage, found in by_stage.items()}
        names = sorted({name for merged in seen.values() for name, _ in merged})
        self._connected = {stage: len(found) for stage, found in by_stage.items()}
        self._models = {name: _build(name, seen, orders.get(name)) for name in names}
        keepers = (seen[PREPROCESS], seen[POSTPROCESS])
        self.listed = all(keepers)
        if self.listed:
            self.lacking = lacking_versions(seen[INFERENCE], keepers, self.lacking or frozenset())
        self.device = next((state.device for state in by_stage[INFERENCE] if state.device), "")
        self.was_ready = self.was_ready or self.ready

    @property
    def ready(self) -> bool:
        """Every stage has an endpoint and at least one model is routable, or would be if nobody had
        unloaded it."""
        models = self._models.values()
        return all(self._connected.values()) and any(
            model.routes or model.health.unloaded for model in models
        )

    @property
    def rousable(self) -> bool:
        """Whether all that is missing is inference, and a request would be reason enough to start it."""
        return self.listed and any(model.asleep for model in self._models.values())

    def asleep(self, name: str) -> bool:
        """Whether the model is there but for inference."""
        model = self._models.get(name)
        return model is not None and model.asleep

    @property
    def connected(self) -> Mapping[str, int]:
        """Number of connected endpoints, by stage."""
        return self._connected

    def names(self) -> list[str]:
        """Models that can be asked now; one that is asleep can be where inference is started for it."""
        return [
            name
            for name, model in self._models.items()
            if model.routes or (model.asleep and self._inference_sleeps)
        ]

    def health(self) -> dict[str, ModelHealth]:
        """State of every model that any stage knows."""
        return {name: model.health for name, model in self._models.items()}

    def versions(self, name: str) -> list[str]:
        """Routable versions of a model, oldest first."""
        model = self._models.get(name.removesuffix(INFERENCE_SUFFIX))
        return sorted(model.routes, key=by_number) if model else []

    def stored(self, name: str, *, good: bool = False) -> list[str]:
        """Versions of a model on disk that could be put back, oldest first; `good` leaves out those that are
        known to be bad."""
        model = self._models.get(name)
        if model is None:
            return []
        return [version for version in model.stored if not good or version not in model.failed]

    def statuses(self) -> list[VersionStatus]:
        """Every version that is or was to be served, and every model that has none."""
        return [status for model in self._models.values() for status in model.statuses]

    def resolve(self, name: str, version: str | None = None) -> Route:
        """The route for a request. Raises TriremeError(MODEL_NOT_FOUND or MODEL_NOT_READY), and Asleep."""
        base = name.removesuffix(INFERENCE_SUFFIX)
        model = self._models.get(base)
        if model is None:
            self._check_stages()
            raise TriremeError(Code.MODEL_NOT_FOUND, f"unknown model '{name}'; served: {self._choices()}")
        if not model.routes:
            if model.health.unloaded:
                raise TriremeError(
                    Code.MODEL_NOT_READY,
                    f"model '{name}' is unloaded; POST /v2/repository/models/{base}/load loads it",
                )
            raise self._unserved(name, base, model)
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
        able = {name: model for name, model in self._models.items() if model.health.task in tasks}
        matching = [name for name, model in able.items() if not model.health.unloaded] or list(able)
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

    def _unserved(self, name: str, base: str, model: _Model) -> TriremeError:
        """Why no version of a model that is known, and was not unloaded, is routable."""
        missing = self._missing() if self.was_ready else None
        reason = f": {model.health.reason}" if model.health.reason else ""
        error = missing or TriremeError(
            Code.MODEL_NOT_READY, f"model '{name}' is {model.health.state.lower()}{reason}"
        )
        return Asleep(error.code, error.detail, base) if model.asleep else error

    def _check_stages(self) -> None:
        """Raises where a name may be unknown only because the stages that know it are not there."""
        if self._inference_sleeps and self.listed:
            return
        if not self.was_ready:
            raise TriremeError(Code.MODEL_NOT_READY, "the platform is still loading its models")
        error = self._missing()
        if error is not None:
            raise error

    def _missing(self) -> TriremeError | None:
        missing = [stage for stage, endpoints in self._connected.items() if not endpoints]
        if not missing:
            return None
        return TriremeError(Code.BACKEND_UNAVAILABLE, f"no endpoint of {', '.join(missing)} is connected")

    def _choices(self) -> str:
        return ", ".join(self.names()) or "none"


def _merge(states: list[StageState]) -> Seen:
    """The best state of every version over the endpoints of one stage."""
    merged: dict[tuple[str, str], ModelVersion] = {}
    for state in states:
        for model in state.models:
            key = (model.name, model.version)
            merged[key] = best_of(merged[key], model) if key in merged else model
    return merged


def _build(name: str, seen: Mapping[str, Seen], order: Order | None) -> _Model:
    versions = {version for merged in seen.values() for model, version in merged if model == name and version}
    routes: dict[str, Route] = {}
    settled: list[str] = []
    unloaded = order is not None and order.unloaded
    for version in sorted(versions, key=by_number) if not unloaded else ():
        found = [seen[stage].get((name, version)) for stage in STAGES]
        route = _route(name, version, found) or _bare_route(name, version, seen)
        if route is not None:
            routes[version] = route
            if all(entry is None or entry.state is State.READY for entry in found):
                settled.append(version)
    preferred = settled or list(routes)
    default = preferred[-1] if preferred else None
    if order is not None and order.version in routes:
        default = order.version
    bare = {
        version: replace(route, name=name + INFERENCE_SUFFIX, bare=True) for version, route in routes.items()
    }
    entries = [entry for merged in seen.values() for (model, _), entry in merged.items() if model == name]
    health = health_of(entries, default, order)
    statuses = statuses_of(name, entries, settled, routes, health, seen[INFERENCE])
    return _Model(
        routes,
        bare,
        default,
        health,
        stored_of(name, (seen[PREPROCESS], seen[POSTPROCESS])),
        statuses,
        asleep=not unloaded and not routes and _asleep(name, versions, seen),
    )


def _asleep(name: str, versions: Iterable[str], seen: Mapping[str, Seen]) -> bool:
    """Nobody who has seen the model at inference calls it bad, and the other two stages could serve it."""
    states = [entry.state for (model, _), entry in seen[INFERENCE].items() if model == name]
    if states and State.LOADING not in states:
        return False
    prepared = [
        [seen[stage].get((name, version)) for stage in (PREPROCESS, POSTPROCESS)] for version in versions
    ]
    return any(all(entry is not None and entry.descriptor for entry in pair) for pair in prepared)


def _route(name: str, version: str, found: list[ModelVersion | None]) -> Route | None:
    descriptors = [entry.descriptor if entry is not None else None for entry in found]
    preprocess, inference, postprocess = descriptors
    if preprocess is None or inference is None or postprocess is None:
        return None
    cached = may_cache((preprocess, inference, postprocess))
    merged = replace(adopted(preprocess, inference), labels=postprocess.labels, cache_enabled=cached)
    digests = (preprocess.digest, inference.digest, postprocess.digest)
    return Route(name, name, version, merged, digests, bare=merged.task == "tensor")


def _bare_route(name: str, version: str, seen: Mapping[str, Seen]) -> Route | None:
    found = lone(name, seen[INFERENCE].get((name, version)), (seen[PREPROCESS], seen[POSTPROCESS]))
    return Route(name, name, version, found, (found.digest,), bare=True) if found is not None else None

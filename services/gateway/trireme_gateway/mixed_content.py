"""Endpoints of one stage that say different things of one version.

While new content is rolled out under an old number, some endpoints have it and others do not: an answer may
be of either, so none is kept in the cache until they agree.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from trireme_common.stage_state import ModelDescriptor, ModelVersion, State

_RANK = {State.READY: 0, State.UNLOADING: 1, State.LOADING: 2, State.UNAVAILABLE: 3}


def best_of(one: ModelVersion, other: ModelVersion) -> ModelVersion:
    """Whichever is nearer to serving, the first of two alike; not to be cached if their content differs."""
    best, rest = (other, one) if _RANK[other.state] < _RANK[one.state] else (one, other)
    if best.descriptor is None or rest.descriptor is None:
        return best
    if best.descriptor.digest == rest.descriptor.digest and rest.descriptor.cache_enabled:
        return best
    return replace(best, descriptor=replace(best.descriptor, cache_enabled=False))


def may_cache(descriptors: Iterable[ModelDescriptor]) -> bool:
    """Whether answers that pass all these stages may be kept."""
    return all(descriptor.cache_enabled for descriptor in descriptors)

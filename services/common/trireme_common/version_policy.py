"""Which versions of a model a stage is to have: as model.yaml says, unless an order says otherwise."""

from __future__ import annotations

from collections.abc import Callable

from trireme_common.model_spec import ModelSpec
from trireme_common.orders import Order

Policy = Callable[[ModelSpec, list[int], Order | None], tuple[list[int], int]]
"""Candidates from the most wanted on, and how many of them are to be READY."""


def ordered_policy(spec: ModelSpec, versions: list[int], order: Order | None) -> tuple[list[int], int]:
    """As `versions` of the spec says. An ordered version comes first, as long as it is on disk; the others
    follow, so that one that cannot be loaded leaves what serves."""
    if order is not None and order.unloaded:
        return [], 0
    descending = sorted(versions, reverse=True)
    if spec.versions.policy == "specific":
        candidates = [version for version in descending if version in spec.versions.list]
        count = len(candidates)
    else:
        candidates = descending
        count = spec.versions.count if spec.versions.policy == "latest" else len(descending)
    if order is None or not order.version or int(order.version) not in versions:
        return candidates, count
    wanted = int(order.version)
    more = wanted not in candidates
    return [wanted, *(version for version in candidates if version != wanted)], count + more


def every_version(spec: ModelSpec, versions: list[int], order: Order | None) -> tuple[list[int], int]:
    """All versions on disk: stages whose versions cost little keep whatever inference may choose."""
    return sorted(versions, reverse=True), len(versions)

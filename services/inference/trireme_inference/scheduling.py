"""model.yaml's `batching` to the policy that schedules a version."""

from __future__ import annotations

from collections.abc import Mapping

from trireme_common.model_spec import Batching
from trireme_common.triton.queue_policy import QueuePolicy
from trireme_inference.adaptive_policy import AdaptivePolicy
from trireme_inference.batch_costs import CostCurve
from trireme_inference.batch_policy import BatchPolicy, Policy


def policy_of(
    batching: Batching, max_rows: int, *, instances: int = 1, measured: Mapping[int, float] | None = None
) -> Policy:
    """The adaptive policy where a latency objective is set, else the fixed one.

    `measured`: rows to seconds of runs made at load, from which the costs are learnt on.
    """
    if batching.latency_objective_ms is not None:
        objective = batching.latency_objective_ms / 1000
        return AdaptivePolicy(max_rows, objective, instances=instances, measured=measured)
    return BatchPolicy(
        max_rows,
        tuple(size for size in batching.preferred_batch_sizes if 1 <= size <= max_rows),
        batching.max_queue_delay_ms / 1000,
        CostCurve(measured),
        instances,
    )


def sees_all(batching: Batching, queue: QueuePolicy) -> bool:
    """Whether what waits must wait here and not at the callers: it waits for company by numbers that were
    given, is ranked, or is timed out."""
    waits = batching.max_queue_delay_ms or batching.preferred_batch_sizes or batching.latency_objective_ms
    return bool(waits) or batching.priority_levels > 1 or queue.timeout_seconds is not None


def policy_notes(batching: Batching) -> list[str]:
    """What of `batching` is given and has no effect."""
    if batching.latency_objective_ms is None:
        return []
    idle = {
        "max_queue_delay_ms": bool(batching.max_queue_delay_ms),
        "preferred_batch_sizes": bool(batching.preferred_batch_sizes),
    }
    given = [f"batching.{key}" for key, is_given in idle.items() if is_given]
    return [f"without effect beside batching.latency_objective_ms: {', '.join(given)}"] if given else []

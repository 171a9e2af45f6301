"""What must hold in rendered objects beyond the schemas: the points of the list in the chart's README.

Each check is a pure function over objects, named by its point; a finding says object, path and what to do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tests.charts.checks import (
    disruption,
    images,
    monitoring,
    nodepools,
    pods,
    reachability,
    scaling,
    secrets,
    security,
    services,
    structure,
)
from tests.charts.helm import Document

Check = Callable[[list[Document]], Iterator[str]]
TextCheck = Callable[[dict[str, str]], Iterator[str]]

CHECKS: tuple[Check, ...] = (
    scaling.point_2_one_scaler,
    structure.point_3_no_duplicates,
    structure.point_4_selectors,
    structure.point_4_services_pick_one_workload,
    monitoring.point_4_monitors_pick_one_workload,
    disruption.point_4_budgets_pick_one_workload,
    security.point_5_restricted,
    security.point_5_written_paths_are_mounted,
    pods.point_6_resources,
    pods.point_6_gpu_taints_are_tolerated,
    pods.point_7_shutdown,
    pods.point_7_startup,
    services.point_8_headless,
    services.point_8_addresses,
    services.point_8_routes_outlast_requests,
    services.point_8_probes,
    reachability.point_9_reachability,
    reachability.point_9_names_resolve,
    reachability.point_9_nothing_calls_out,
    secrets.point_10_no_secrets,
    images.point_12_images,
    scaling.point_13_keda,
    monitoring.point_13_queries_parse,
    structure.point_14_names,
    structure.point_15_namespaced,
    scaling.point_16_inference_signal,
    scaling.point_16_scale_down_is_slow,
    scaling.point_16_zero_needs_a_queue,
    pods.point_16_shared_memory,
    pods.point_16_liveness_after_startup,
    disruption.point_16_budgets_let_drains_through,
    disruption.point_16_no_spare_gpu,
)


# Over the text of a render by path, notes among it.
TEXT_CHECKS: tuple[TextCheck, ...] = (secrets.point_10_text, structure.point_14_text)


# Over charts of node pools.
NODEPOOL_CHECKS: tuple[Check, ...] = (
    nodepools.nodepools_are_kept,
    nodepools.nodepools_are_bounded,
    nodepools.headroom_gives_way_and_is_seen,
)
# What holds of trireme alone: trireme-nodepools is there for what is of the whole cluster.
_NAMESPACED_ONLY = (structure.point_15_namespaced,)


def findings(
    documents: list[Document], rendered: dict[str, str] | None = None, *, chart: str = "trireme"
) -> list[str]:
    """What all checks find wrong, each with the name of its check."""
    wanted: tuple[Check, ...] = CHECKS
    if chart != "trireme":
        wanted = (*(check for check in CHECKS if check not in _NAMESPACED_ONLY), *NODEPOOL_CHECKS)
    found = [f"{check.__name__}: {finding}" for check in wanted for finding in check(documents)]
    return found + [
        f"{check.__name__}: {finding}" for check in TEXT_CHECKS for finding in check(rendered or {})
    ]

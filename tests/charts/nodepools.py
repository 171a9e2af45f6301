"""Values of the chart of node pools that its tests start from, one set for each provider."""

from __future__ import annotations

from typing import Any

from tests.charts import helm

CHART = helm.CHARTS / "trireme-nodepools"
LIMITS = {"nvidia.com/gpu": 8}
POOL: dict[str, Any] = {"limits": LIMITS, "gpu": {"names": ["l4"]}}
AWS: dict[str, Any] = {
    "provider": "karpenterAws", "aws": {"clusterName": "models"}, "pools": {"gpu": POOL},
}  # fmt: skip
AUTO: dict[str, Any] = {"provider": "eksAuto", "pools": {"gpu": {**POOL, "nodeClass": "default"}}}
AZURE: dict[str, Any] = {"provider": "karpenterAzure", "pools": {"gpu": POOL}}
GKE: dict[str, Any] = {
    "provider": "gke", "gke": {"quotaNamespaces": ["trireme"]},
    "pools": {"gpu": {"limits": LIMITS, "gpu": {"names": ["nvidia-l4"]}}},
}  # fmt: skip
PROVIDERS = {"karpenterAws": AWS, "eksAuto": AUTO, "karpenterAzure": AZURE, "gke": GKE}


def render(values: dict[str, Any], **options: Any) -> dict[str, str]:
    """Text of every template, for the release `pools` on a cluster that has every API."""
    options = {"api_versions": helm.API_VERSIONS, "chart": CHART, "name": "pools", **options}
    return helm.render(values, **options)

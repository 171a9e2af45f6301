"""The twenty classic mistakes, each as an edit of a copy of the chart, and the check that has to find it."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.charts import helm
from tests.charts.checks import disruption, images, pods, reachability, renders, scaling, services, structure

# Pools that scale, one to zero and one on GPUs; a gateway that scales on CPU, with a route; false, and
# a large number.
VALUES = renders.merged(
    renders.BASE,
    {
        "defaults": {"env": {"FLAG": True}},
        "gateway": {
            "autoscaling": {"type": "hpa"},
            "env": {"FLAG": False, "LARGE": 16777216},
            "auth": {"allowAnonymous": True},
        },
        "route": {"type": "httproute", "parentRefs": [{"name": "public"}]},
        "inference": {"pools": {"gpu": {"gpu": {"mode": "extended"}, "replicas": 2}}},
    },
)


@dataclass(frozen=True)
class Edit:
    """Replaces what a pattern finds in one file of the chart, or appends where there is none."""

    file: str
    pattern: str
    replacement: str

    def apply(self, chart: Path) -> None:
        """Raises AssertionError where the pattern finds nothing: the template has changed."""
        path = chart / self.file
        if not self.pattern:
            path.write_text((path.read_text() if path.is_file() else "") + self.replacement)
            return
        text, count = re.subn(self.pattern, lambda _: self.replacement, path.read_text(), flags=re.MULTILINE)
        assert count, f"{self.file} has nothing like {self.pattern!r} any more; adapt the mutation"
        path.write_text(text)


@dataclass(frozen=True)
class Mutation:
    """A mistake. `check` finds it; `options` are those of the render that shows it."""

    mistake: str
    check: Callable[..., Any]
    edits: tuple[Edit, ...]
    options: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.mistake

    def chart(self, folder: Path) -> Path:
        """A copy of the chart with the mistake in it."""
        copy = folder / "trireme"
        shutil.copytree(helm.CHART, copy)
        for edit in self.edits:
            edit.apply(copy)
        return copy


_COMPONENT, _HELPERS, _SCALING = (f"templates/_{name}.tpl" for name in ("component", "helpers", "scaling"))

MUTATIONS: tuple[Mutation, ...] = (
    Mutation(
        "replicas with an autoscaler",
        scaling.point_2_one_scaler,
        (
            Edit(
                _COMPONENT,
                r'\{\{- if eq \.values\.autoscaling\.type "none" \}\}(?=\n  replicas)',
                "{{- if true }}",
            ),
        ),
    ),
    Mutation(
        "duplicate env",
        structure.point_3_no_duplicates,
        (Edit(_COMPONENT, r"^    env:$", "    env:\n      - {name: TRIREME_MODELS_DIR, value: /mnt}"),),
    ),
    Mutation(
        "default swallowing 0 or false",
        renders.point_14_values_arrive,
        (
            Edit(
                _COMPONENT,
                r"set \$out \$key \$value -",
                "set $out $key ($value | default (index $out $key)) -",
            ),
        ),
    ),
    Mutation(
        "exponent numbers",
        structure.point_14_text,
        (Edit(_HELPERS, r"(?<=\}\})\{\{ int64 \. \}\}(?=\{\{- else)", "{{ . }}"),),
    ),
    Mutation(
        "unaggregated query",
        scaling.point_13_keda,
        (
            Edit(
                _SCALING,
                r"sum\(trireme_inference_pending_requests\{%s\}\)",
                "trireme_inference_pending_requests{%s}",
            ),
        ),
    ),
    Mutation(
        "empty metric read as zero",
        scaling.point_13_keda,
        (Edit(_SCALING, r'^    ignoreNullValues: "false"$', '    ignoreNullValues: "true"'),),
    ),
    Mutation(
        "utilisation as the inference signal",
        scaling.point_16_inference_signal,
        (
            Edit(
                _SCALING,
                r"sum\(rate\(nv_inference_queue_duration_us\{%s\}\[1m\]\)\) / 1000000(?=\" \$series -)",
                "avg(DCGM_FI_DEV_GPU_UTIL{%s})",
            ),
        ),
    ),
    Mutation(
        "HPA and ScaledObject on one Deployment",
        scaling.point_2_one_scaler,
        (
            Edit(
                _SCALING,
                r'^\{\{- include "trireme\.scaledObject" \. -\}\}$',
                '{{ include "trireme.scaledObject" . }}\n---\n{{ include "trireme.hpa" . }}',
            ),
        ),
    ),
    Mutation(
        "cooldown expected to slow N -> 1",
        scaling.point_16_scale_down_is_slow,
        (
            Edit(
                _SCALING,
                r"^  advanced:\n    horizontalPodAutoscalerConfig:\n      behavior:\n.*\n",
                "  {{- if not $scaling.idleToZero }}\n  cooldownPeriod: 300\n  {{- end }}\n",
            ),
        ),
    ),
    Mutation(
        "scale to zero without a holding queue",
        scaling.point_16_zero_needs_a_queue,
        (Edit("templates/gateway/_context.tpl", r"^TRIREME_GATEWAY_HOLD_.*\n", ""),),
    ),
    Mutation(
        "ClusterIP for gRPC", services.point_8_headless, (Edit(_COMPONENT, r"^  clusterIP: None\n", ""),)
    ),
    Mutation(
        "a Memory /dev/shm missing from inference",
        pods.point_16_shared_memory,
        (Edit(_COMPONENT, r"\{\{- if \.values\.sharedMemory \}\}", "{{- if false }}"),),
    ),
    Mutation(
        "liveness without a start-up probe",
        pods.point_16_liveness_after_startup,
        (Edit(_COMPONENT, r'^  \(dict "name" "startup" .*\)\n', ""),),
    ),
    Mutation(
        "grace < preStop + longest request",
        pods.point_7_shutdown,
        (
            Edit(
                _COMPONENT, r"terminationGracePeriodSeconds: \{\{.*\}\}", "terminationGracePeriodSeconds: 30"
            ),
        ),
    ),
    Mutation(
        "a PDB that blocks drains",
        disruption.point_16_budgets_let_drains_through,
        (
            Edit(
                _COMPONENT,
                r"^  maxUnavailable: \{\{.*\}\}$",
                "  minAvailable: {{ int64 (.values.replicas | default 1) }}",
            ),
        ),
    ),
    Mutation(
        "maxSurge 1 with no spare GPU",
        disruption.point_16_no_spare_gpu,
        (Edit(_COMPONENT, r"\{maxSurge: 0, maxUnavailable: 1\}", "{maxSurge: 1, maxUnavailable: 0}"),),
    ),
    Mutation(
        "CRD objects dropped silently",
        renders.point_16_nothing_is_skipped,
        (
            Edit(
                "templates/_validate.tpl",
                r"^\{\{- if not \(\.root\.Capabilities\.APIVersions\.Has \.api\) -\}\}$",
                "{{- if false -}}",
            ),
            Edit(
                _SCALING,
                r'(?<=eq \.values\.autoscaling\.type "keda") -\}\}',
                ' | and (.root.Capabilities.APIVersions.Has "keda.sh/v1alpha1") -}}',
            ),
        ),
        {"api_versions": ()},
    ),
    Mutation(
        "random secrets at each render",
        renders.point_10_identical_renders,
        (
            Edit(
                "templates/secret.yaml",
                "",
                "apiVersion: v1\nkind: Secret\nmetadata:\n  name: trireme-seal\n"
                "  namespace: {{ .Release.Namespace }}\n"
                "stringData:\n  secret: {{ randAlphaNum 32 }}\n",
            ),
        ),
    ),
    Mutation(
        "default-deny without DNS",
        reachability.point_9_names_resolve,
        (
            Edit(
                "templates/_topology.tpl",
                r"^    - \{protocol: (UDP|TCP), port: \{\{ int64 \$dns \}\}\}$",
                "    - {protocol: TCP, port: 853}",
            ),
        ),
    ),
    Mutation(
        "latest",
        images.point_12_images,
        (
            Edit(
                _HELPERS,
                r"\(\.image\.tag \| default \.root\.Chart\.AppVersion\)",
                '(.image.tag | default "latest")',
            ),
        ),
    ),
)

"""Monitors, rules and dashboards: what Prometheus finds, and what is asked of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from tests.charts import promql
from tests.charts.helm import Document
from tests.charts.objects import all_pods, of_kind, selects, title


def point_4_monitors_pick_one_workload(documents: list[Document]) -> Iterator[str]:
    """A monitor leads to the pods of one workload, once, by a port that is there."""
    pods = [pod for pod in all_pods(documents) if pod.owner["kind"] != "Pod"]
    for monitor in of_kind(documents, "ServiceMonitor"):
        for endpoint in monitor["spec"]["endpoints"]:
            found = [
                service
                for service in of_kind(documents, "Service")
                if selects(monitor["spec"]["selector"], service["metadata"].get("labels", {}))
                and endpoint.get("port") in [port["name"] for port in service["spec"]["ports"]]
            ]
            workloads = {
                pod.title
                for service in found
                for pod in pods
                if selects({"matchLabels": service["spec"]["selector"]}, pod.labels)
            }
            if len(found) != 1 or len(workloads) != 1:
                yield (
                    f"{title(monitor)}: port {endpoint.get('port')!r} leads to "
                    f"{[title(one) for one in found]} and {sorted(workloads)}; one of each is wanted"
                )
    for monitor in of_kind(documents, "PodMonitor"):
        picked = [pod for pod in pods if selects(monitor["spec"]["selector"], pod.labels)]
        if len(picked) != 1:
            yield f"{title(monitor)}: spec.selector picks the pods of {[pod.title for pod in picked]}"


def queries(documents: list[Document]) -> Iterator[tuple[str, str]]:
    """Where it stands, and the query: of KEDA, of rules, of dashboards."""
    for scaler in of_kind(documents, "ScaledObject"):
        for trigger in scaler["spec"]["triggers"]:
            if "query" in trigger["metadata"]:
                yield f"{title(scaler)}: {trigger.get('name', trigger['type'])}", trigger["metadata"]["query"]
    for rules in of_kind(documents, "PrometheusRule"):
        for group in rules["spec"]["groups"]:
            for rule in group["rules"]:
                yield f"{title(rules)}: {rule.get('alert', rule.get('record'))}", rule["expr"]
    for config in of_kind(documents, "ConfigMap"):
        for name, text in config.get("data", {}).items():
            if name.endswith(".json"):
                for path, query in _expressions(json.loads(text), name):
                    yield f"{title(config)}: {path}", query


def _expressions(part: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(part, dict):
        name = f"{path}: {part['title']}" if "title" in part else path
        if isinstance(part.get("expr"), str):
            yield name, part["expr"]
        if isinstance(part.get("definition"), str) and part["definition"].startswith("label_values("):
            yield name, part["definition"].removeprefix("label_values(").rpartition(",")[0] or "up"
        for one in part.values():
            yield from _expressions(one, name)
    elif isinstance(part, list):
        for one in part:
            yield from _expressions(one, path)


def metric_names(documents: list[Document]) -> Iterator[tuple[str, str]]:
    """Where it stands, and the name of each metric that is asked for, but those that rules record."""
    recorded = {
        rule["record"]
        for rules in of_kind(documents, "PrometheusRule")
        for group in rules["spec"]["groups"]
        for rule in group["rules"]
        if "record" in rule
    }
    for where, query in queries(documents):
        for name in sorted(promql.metrics(query) - recorded):
            yield where, name
    for scaler in of_kind(documents, "HorizontalPodAutoscaler"):
        for metric in scaler["spec"]["metrics"]:
            if metric["type"] in ("Pods", "Object"):
                yield title(scaler), metric[metric["type"].lower()]["metric"]["name"]


def point_13_queries_parse(documents: list[Document]) -> Iterator[str]:
    """Every query of a rule or dashboard is PromQL."""
    for where, query in queries(documents):
        try:
            promql.parse(query)
        except promql.BadQuery as bad:
            yield f"{where}: {bad}"

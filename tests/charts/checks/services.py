"""How the services are found and asked whether they live."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from tests.charts import objects
from tests.charts.checks.pods import longest_request
from tests.charts.helm import Document
from tests.charts.objects import STAGES, Pod, all_pods, component, env, of_kind, selects, title

_PROBES = ("startup", "readiness", "liveness")
_OUTSIDE = ("NodePort", "LoadBalancer")


def point_8_headless(documents: list[Document]) -> Iterator[str]:
    """gRPC is balanced by its clients: a Service for callers inside resolves to the pods that are ready."""
    covered: set[str] = set()
    for service in of_kind(documents, "Service"):
        spec = service["spec"]
        if not _has_grpc(service) or (spec.get("type") in _OUTSIDE and component(service) not in STAGES):
            continue
        if spec.get("clusterIP") != "None":
            yield f"{title(service)}: spec.clusterIP has to be None: one address pins gRPC callers to one pod"
        if spec.get("publishNotReadyAddresses"):
            yield f"{title(service)}: spec.publishNotReadyAddresses sends calls to pods that cannot answer"
        covered |= {
            pod.title for pod in all_pods(documents) if selects({"matchLabels": spec["selector"]}, pod.labels)
        }
    for pod in objects.services(documents):
        if pod.component in STAGES and pod.title not in covered:
            yield f"{pod.title}: no headless Service leads to it"


def _has_grpc(service: Document) -> bool:
    return component(service) != "cache" and any(
        "grpc" in str(port.get("name")) for port in service["spec"]["ports"]
    )


def point_8_addresses(documents: list[Document]) -> Iterator[str]:
    """The gateway asks every stage, by names and ports that are there."""
    known = {
        f"{service['metadata']['name']}:{port['port']}": component(service)
        for service in of_kind(documents, "Service")
        for port in service["spec"]["ports"]
    }
    for gateway in (pod for pod in objects.services(documents) if pod.component == "gateway"):
        for stage in STAGES:
            key = f"TRIREME_GATEWAY_{stage.upper()}_ADDRESSES"
            told = [address for address in str(env(gateway.main).get(key, "")).split(",") if address]
            wanted = [
                address for address, of in known.items() if of == stage and not address.endswith(":9090")
            ]
            if stage == "inference" and env(gateway.main).get("TRIREME_GATEWAY_INFERENCE_PROTOCOL") == "oip":
                if wanted:
                    yield f"{gateway.title}: {key} is {told}, and {wanted} get no request"
            elif sorted(told) != sorted(wanted):
                yield f"{gateway.title}: {key} is {told}, and the Services are {wanted}"


def point_8_routes_outlast_requests(documents: list[Document]) -> Iterator[str]:
    """A route gives a request as long as the gateway does: some controllers cut off at 15 s."""
    longest = longest_request(documents)
    for route in of_kind(documents, "HTTPRoute"):
        for number, rule in enumerate(route["spec"]["rules"]):
            told = rule.get("timeouts", {}).get("request", "")
            seconds = re.fullmatch(r"(\d+)s", told)
            if seconds is None or 0 < int(seconds[1]) < longest:
                where = f"{title(route)}: spec.rules[{number}].timeouts.request"
                yield f"{where} is {told!r}; a request may take {longest} s"


def point_8_probes(documents: list[Document]) -> Iterator[str]:
    """Stages are asked by gRPC, natively; by a command where they want a certificate of the caller."""
    for pod in objects.services(documents):
        for name in _PROBES:
            probe = pod.main.get(f"{name}Probe", {})
            if pod.component in STAGES:
                yield from (
                    f"{pod.title}: {name}Probe {finding}" for finding in _stage_probe(probe, name, pod)
                )
            elif not probe:
                yield f"{pod.title}: {name}Probe is missing"


def _stage_probe(probe: dict[str, Any], name: str, pod: Pod) -> Iterator[str]:
    mutual = any("TLS" in key and "CERT" in key for key in env(pod.main))
    if mutual and "exec" not in probe:
        yield "has to be a command: the kubelet's gRPC probe has no TLS"
    elif not mutual:
        ports = [port["containerPort"] for port in pod.main.get("ports", []) if port.get("name") == "grpc"]
        grpc = probe.get("grpc", {})
        if grpc.get("service") != name or grpc.get("port") not in ports:
            yield f"has to ask {name!r} of grpc.health.v1 on port {ports}, and is {probe}"

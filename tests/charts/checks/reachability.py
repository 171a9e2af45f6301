"""NetworkPolicies: exactly the hops of the platform, and what its settings need."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from tests.charts.helm import Document
from tests.charts.network import OUTSIDE, End, Policies
from tests.charts.objects import STAGES, Pod, all_pods, env, of_kind

# Who calls whom, and on which port. Written by hand: it is what the chart's own table is held against.
_HOPS = {
    ("gateway", "preprocess", 50051), ("gateway", "inference", 50052), ("gateway", "postprocess", 50053),
    ("gateway", "cache", 6379), ("smoke", "gateway", 8080),
}  # fmt: skip
# Ports that any pod of the namespace may call: those of the callers, and metrics.
_NAMESPACE_MAY = {
    ("gateway", 8080), ("gateway", 8081), ("gateway", 9090),
    ("preprocess", 9090), ("inference", 9090), ("postprocess", 9090),
}  # fmt: skip
# Whatever is let in from elsewhere by value reaches these at most.
_OTHERS_MAY = _NAMESPACE_MAY
_OUTSIDE_MAY = {("gateway", 8080), ("gateway", 8081)}
_METRICS = {(component, 9090) for component in ("gateway", *STAGES)}
_PORTS = (22, 443, 6379, 8080, 8081, 9090, 50051, 50052, 50053)
_RESOLVER = End({"k8s-app": "kube-dns"}, "kube-system")


def point_9_reachability(documents: list[Document]) -> Iterator[str]:
    """Between pods, from other namespaces and from outside: the hops of the table, and nothing else."""
    if not of_kind(documents, "NetworkPolicy"):
        return
    policies, pods = Policies(documents), all_pods(documents)
    hops = _HOPS | ({("gateway", "gateway", 9090)} if _peers(pods) else set())
    monitored, keda = bool(of_kind(documents, "ServiceMonitor", "PodMonitor")), _keda(documents)
    foreign = policies.namespaces()
    for target in pods:
        to = End(target.labels)
        for port in _PORTS:
            here = (target.component, port)
            for source in pods:
                allowed = policies.allow(End(source.labels), to, port)
                if allowed != ((source.component, *here) in hops):
                    yield _finding(source.title, target, port, allowed)
            if (allowed := policies.allow(End(), to, port)) != (here in _NAMESPACE_MAY):
                yield _finding("a pod of the namespace", target, port, allowed)
            if policies.allow(End(namespace="elsewhere"), to, port):
                yield _finding("a namespace that nobody named", target, port, True)
            if policies.allow(OUTSIDE, to, port) and here not in _OUTSIDE_MAY:
                yield _finding("an address outside", target, port, True)
            allowed_from = {name for name in foreign if policies.allow(End(namespace=name), to, port)}
            if allowed_from and here not in _OTHERS_MAY:
                yield _finding(f"namespace {sorted(allowed_from)}", target, port, True)
            if monitored and here in _METRICS and not allowed_from:
                yield _finding("Prometheus, in whatever namespace,", target, port, False)
            if keda and here == ("gateway", 9090) and not allowed_from:
                yield _finding("KEDA, in whatever namespace,", target, port, False)


def _finding(source: str, target: Pod, port: int, allowed: bool) -> str:
    if allowed:
        return f"{source} can reach {target.title} on port {port}; no hop needs it"
    return f"{source} cannot reach {target.title} on port {port}, and has to"


def _peers(pods: list[Pod]) -> bool:
    return any("TRIREME_GATEWAY_PEER_ADDRESSES" in env(pod.main) for pod in pods)


def _keda(documents: list[Document]) -> bool:
    return any(
        trigger["type"] == "metrics-api"
        for scaler in of_kind(documents, "ScaledObject")
        for trigger in scaler["spec"]["triggers"]
    )


def point_9_names_resolve(documents: list[Document]) -> Iterator[str]:
    """Whoever calls by name may ask for it, over UDP and, where the answer is long, over TCP."""
    policies = Policies(documents)
    for pod in all_pods(documents):
        if pod.component not in ("gateway", "smoke") and not _calls_out(pod):
            continue
        for protocol in ("UDP", "TCP"):
            if not policies.allow(End(pod.labels), _RESOLVER, 53, protocol):
                yield f"{pod.title} cannot ask for names over {protocol}; let port 53 through"


def point_9_nothing_calls_out(documents: list[Document]) -> Iterator[str]:
    """Nothing leaves the release but what a setting needs; and what one needs does leave."""
    policies = Policies(documents)
    if not of_kind(documents, "NetworkPolicy"):
        return
    for pod in all_pods(documents):
        needed, source = _calls_out(pod), End(pod.labels)
        for port in needed:
            if not policies.may_send(source, port):
                yield f"{pod.title} is told to call port {port}, and its policy keeps it from it"
        for port in {*_PORTS, 80, 4317, 5432} - needed:
            if policies.allow(source, OUTSIDE, port) and not _free(pod):
                yield f"{pod.title} can call any address on port {port}; no setting needs it"
            if policies.allow(source, End(namespace="elsewhere"), port) and not _free(pod):
                yield f"{pod.title} can call namespaces on port {port}; no setting needs it"


def _calls_out(pod: Pod) -> set[int]:
    """Ports outside of the release that a pod's settings name."""
    ports = set()
    for settings in (env(container) for container in pod.containers):
        if url := settings.get("TRIREME_OTEL_EXPORTER_ENDPOINT"):
            ports.add(urlsplit(str(url)).port or 443)
        if isinstance(settings.get("TRIREME_GATEWAY_REDIS_URL"), dict):
            ports.add(6379)
        if url := settings.get("TRIREME_MODELS_SOURCE"):
            ports.add(urlsplit(str(url)).port or 443)
        if settings.get("TRIREME_GATEWAY_INFERENCE_PROTOCOL") == "oip":
            addresses = str(settings["TRIREME_GATEWAY_INFERENCE_ADDRESSES"]).split(",")
            ports.update(int(address.rpartition(":")[2]) for address in addresses)
    return ports


def _free(pod: Pod) -> bool:
    """Whether values name the ports, as for a Redis whose URL is in a Secret, or a source of models."""
    settings = [key for container in pod.containers for key, value in env(container).items()]
    return "TRIREME_MODELS_SOURCE" in settings or isinstance(
        env(pod.main).get("TRIREME_GATEWAY_REDIS_URL"), dict
    )

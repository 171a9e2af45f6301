"""What a container asks for, and how long it takes to come and to go."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from tests.charts.helm import Document
from tests.charts.objects import (
    Pod,
    all_pods,
    env,
    mounts,
    quantity,
    services,
    volumes,
    window,
)

_STARTUP_SECONDS = 30 * 60
_SPARE_SECONDS = 10


def point_6_resources(documents: list[Document]) -> Iterator[str]:
    """Requests and a memory limit everywhere; devices are whole numbers, and stand in the limits."""
    for pod in all_pods(documents):
        claims = {claim["name"] for claim in pod.spec.get("resourceClaims", [])}
        for container in pod.containers:
            where = f"{pod.title}: {container['name']}.resources"
            resources = container.get("resources", {})
            yield from (f"{where}{finding}" for finding in _resources(resources))
            for claim in resources.get("claims", []):
                if claim["name"] not in claims:
                    yield f"{where}.claims: {claim['name']} is not among the pod's resourceClaims"


def _resources(resources: dict[str, Any]) -> Iterator[str]:
    requests, limits = resources.get("requests", {}), resources.get("limits", {})
    for key in {"cpu", "memory"} - set(requests):
        yield f".requests.{key} is missing"
    if "memory" not in limits:
        yield ".limits.memory is missing"
    for key in set(requests) & set(limits):
        if quantity(requests[key]) > quantity(limits[key]):
            yield f".requests.{key} {requests[key]} is more than its limit {limits[key]}"
    for key in (key for key in {**requests, **limits} if "/" in key):
        if type(limits.get(key)) is not int or limits[key] < 1:
            yield f".limits.{key} is {limits.get(key)!r}; devices are whole numbers in the limits"
        if key in requests and requests[key] != limits.get(key):
            yield f".requests.{key} {requests[key]} has to equal its limit"


def point_6_gpu_taints_are_tolerated(documents: list[Document]) -> Iterator[str]:
    """A pod that asks for a device tolerates the taint of its nodes: not every cloud adds that by itself."""
    for pod in all_pods(documents):
        tolerated = {
            one.get("key") for one in pod.spec.get("tolerations", []) if one.get("operator") == "Exists"
        }
        limits = {key for one in pod.containers for key in one.get("resources", {}).get("limits", {})}
        for key in sorted(key for key in limits if "/" in key):
            if not {key, None} & tolerated:
                yield f"{pod.title}: tolerations: {key} is missing; nodes with GPUs are tainted by that name"


def point_7_shutdown(documents: list[Document]) -> Iterator[str]:
    """The pod's grace covers preStop and what the server was told; that covers the longest request."""
    longest = longest_request(documents)
    for pod in services(documents):
        told = {
            word: float(env(pod.main).get(f"TRIREME_{pod.component.upper()}_{word}_SECONDS", "nan"))
            for word in ("DRAIN", "GRACE")
        }
        needed = pre_stop(pod) + sum(told.values()) + _SPARE_SECONDS
        grace = pod.spec.get("terminationGracePeriodSeconds", 30)
        # A number that was not told compares false.
        if not grace >= needed:
            yield f"{pod.title}: terminationGracePeriodSeconds {grace} is not {needed}: preStop + {told} + 10"
        if not told["GRACE"] >= longest:
            yield f"{pod.title}: its grace {told['GRACE']} s cuts off requests, which may take {longest} s"


def longest_request(documents: list[Document]) -> float:
    """Most seconds that a request may take, as the gateway is told."""
    key = "TRIREME_GATEWAY_REQUEST_TIMEOUT_SECONDS"
    return max(
        (float(env(pod.main)[key]) for pod in services(documents) if key in env(pod.main)), default=30.0
    )


def pre_stop(pod: Pod) -> float:
    """Seconds between the end of a pod's address and its SIGTERM."""
    hook = pod.main.get("lifecycle", {}).get("preStop", {})
    if "sleep" in hook:
        return float(hook["sleep"]["seconds"])
    slept = re.search(r"sleep\D*(\d+)", " ".join(hook.get("exec", {}).get("command", [])))
    return float(slept[1]) if slept else 0.0


def point_7_startup(documents: list[Document]) -> Iterator[str]:
    """Inference may load for half an hour, and no rollout is given up before the start-up window ends."""
    for pod in services(documents):
        seconds = window(pod.main.get("startupProbe", {}))
        if pod.component == "inference" and seconds < _STARTUP_SECONDS:
            yield f"{pod.title}: startupProbe gives {seconds} s; a load may take {_STARTUP_SECONDS} s"
    for pod in (pod for pod in all_pods(documents) if pod.owner["kind"] == "Deployment"):
        deadline = pod.owner["spec"].get("progressDeadlineSeconds", 600)
        if "startupProbe" in pod.main and deadline < window(pod.main["startupProbe"]):
            yield f"{pod.title}: spec.progressDeadlineSeconds {deadline} ends before a start may"


def point_16_shared_memory(documents: list[Document]) -> Iterator[str]:
    """Inference has /dev/shm in memory, of a size: a container's own has 64 MB."""
    for pod in services(documents):
        if pod.component != "inference":
            continue
        name = mounts(pod.main).get("/dev/shm", {}).get("name", "")
        source = volumes(pod.spec).get(name, {}).get("emptyDir", {})
        if source.get("medium") != "Memory" or "sizeLimit" not in source:
            yield f"{pod.title}: /dev/shm is {source}; it has to be in memory, with a sizeLimit"
        elif quantity(source["sizeLimit"]) >= quantity(pod.main["resources"]["limits"]["memory"]):
            yield f"{pod.title}: /dev/shm of {source['sizeLimit']} leaves nothing of the memory limit"


def point_16_liveness_after_startup(documents: list[Document]) -> Iterator[str]:
    """A liveness probe waits for a start-up probe, or a slow load is killed for being slow."""
    for pod in all_pods(documents):
        for container in pod.containers:
            if "livenessProbe" in container and "startupProbe" not in container:
                yield f"{pod.title}: {container['name']} has a livenessProbe without a startupProbe"

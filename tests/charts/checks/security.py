"""Pod Security `restricted`, and a root that nothing writes to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

from tests.charts.helm import Document
from tests.charts.objects import Pod, all_pods, env, mounts

_VOLUMES = {
    "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected",
    "secret",
    # The standard lets an OCI image be mounted: it is read-only and cannot be executed from.
    "image",
}  # fmt: skip
_HOST = ("hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace", "hostUsers")
# Settings that name a folder which a service writes to.
_WRITTEN_BY_SETTING = (
    "TRIREME_STATE_DIR",
    "TRIREME_INFERENCE_TENSORRT_CACHE_DIR",
    "TMPDIR",
    "HOME",
    "PROMETHEUS_MULTIPROC_DIR",
)


def point_5_restricted(documents: list[Document]) -> Iterator[str]:
    """Every pod meets Pod Security `restricted`, with a read-only root and no token of a service account."""
    for pod in all_pods(documents):
        yield from (f"{pod.title}: {finding}" for finding in _pod(pod))
        for container in pod.containers:
            where = f"{pod.title}: {container['name']}.securityContext"
            yield from (f"{where}.{finding}" for finding in _container(container, pod))


def _pod(pod: Pod) -> Iterator[str]:
    spec = pod.spec
    context = spec.get("securityContext", {})
    if spec.get("automountServiceAccountToken") is not False:
        yield "automountServiceAccountToken has to be false"
    if spec.get("enableServiceLinks") is not False:
        yield "enableServiceLinks has to be false: the variables of Services look like settings"
    yield from (f"{key} is not allowed" for key in _HOST if spec.get(key))
    for key in ("sysctls", "supplementalGroupsPolicy"):
        if context.get(key) and key == "sysctls":
            yield "securityContext.sysctls is not allowed"
    for volume in spec.get("volumes", []):
        if not set(volume) & _VOLUMES:
            yield f"volume {volume['name']} is of a kind that restricted refuses: {sorted(volume)}"
        for source in volume.get("projected", {}).get("sources", []):
            if "serviceAccountToken" in source and not source["serviceAccountToken"].get("audience"):
                yield f"volume {volume['name']} holds a token for the API server"


def _container(container: dict[str, Any], pod: Pod) -> Iterator[str]:
    context = container.get("securityContext", {})
    shared = pod.spec.get("securityContext", {})
    wanted = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True}
    for key, value in wanted.items():
        if context.get(key) is not value:
            yield f"{key} has to be {str(value).lower()}"
    if context.get("privileged"):
        yield "privileged is not allowed"
    if context.get("runAsNonRoot", shared.get("runAsNonRoot")) is not True:
        yield "runAsNonRoot has to be true"
    if not context.get("runAsUser", shared.get("runAsUser", 0)):
        yield "runAsUser has to be a number above 0"
    profile = context.get("seccompProfile", shared.get("seccompProfile", {}))
    if profile.get("type") != "RuntimeDefault":
        yield "seccompProfile.type has to be RuntimeDefault"
    capabilities = context.get("capabilities", {})
    if capabilities.get("drop") != ["ALL"] or set(capabilities.get("add", [])) - {"NET_BIND_SERVICE"}:
        yield f"capabilities has to drop ALL, and is {capabilities}"
    for port in container.get("ports", []):
        if port.get("hostPort"):
            yield f"ports: hostPort {port['hostPort']} is not allowed"


def point_5_written_paths_are_mounted(documents: list[Document]) -> Iterator[str]:
    """Whatever is written is a mount that can be written: the root is read-only."""
    for pod in all_pods(documents):
        for container in pod.containers:
            mounted = [path for path, mount in mounts(container).items() if not mount.get("readOnly")]
            for path in _written(container, pod):
                if not any(PurePosixPath(path).is_relative_to(one) for one in mounted):
                    yield f"{pod.title}: {container['name']} writes {path}; mount an emptyDir there"


def _written(container: dict[str, Any], pod: Pod) -> Iterator[str]:
    settings = env(container)
    if "pause" not in container["image"]:
        yield "/tmp"
    if pod.component == "inference" and container is pod.main:
        yield "/dev/shm"
    if pod.component == "cache":
        yield container.get("workingDir", "/data")
    yield from (
        value for key, value in settings.items() if key in _WRITTEN_BY_SETTING and isinstance(value, str)
    )
    if "TRIREME_MODELS_SOURCE" in settings:
        # A mirror of what the source holds.
        yield str(settings.get("TRIREME_MODELS_DIR", "/models"))

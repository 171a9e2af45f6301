"""What the server and its models say of themselves, as plain values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

from trireme_common.stage_state import TensorInfo
from trireme_gateway.catalog import Catalog
from trireme_gateway.v2.inference import resolve
from trireme_gateway.v2.signature import signature_of

SERVER_NAME = "trireme"
EXTENSIONS = ("classification", "binary_tensor_data")


class ServerMetadata(TypedDict):
    name: str
    version: str
    extensions: list[str]


class TensorMetadata(TypedDict):
    name: str
    datatype: str
    shape: list[int]


class ModelMetadata(TypedDict):
    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]


class IndexEntry(TypedDict):
    name: str
    version: str
    state: str
    reason: str


def server_metadata(version: str) -> ServerMetadata:
    return {"name": SERVER_NAME, "version": version, "extensions": list(EXTENSIONS)}


def model_metadata(catalog: Catalog, name: str, version: str | None) -> ModelMetadata:
    """Metadata of a version, or of the model with all its versions. Raises TriremeError as `resolve` does."""
    route = resolve(catalog, name, version)
    signature = signature_of(route)
    return {
        "name": route.name,
        "versions": [route.version] if version else catalog.versions(name),
        "platform": signature.platform,
        "inputs": _tensors(signature.inputs),
        "outputs": _tensors(signature.outputs),
    }


def repository_index(catalog: Catalog, *, ready_only: bool) -> list[IndexEntry]:
    """An entry for every routable version, and one without a version for a model that has none."""
    entries: list[IndexEntry] = []
    for name, health in catalog.health().items():
        versions = catalog.versions(name)
        entries += [
            {"name": name, "version": version, "state": "READY", "reason": ""} for version in versions
        ]
        if not versions and not ready_only:
            entries.append(
                {"name": name, "version": "", "state": health.state.value, "reason": health.reason}
            )
    return entries


def _tensors(infos: Sequence[TensorInfo]) -> list[TensorMetadata]:
    return [{"name": info.name, "datatype": info.datatype, "shape": list(info.shape)} for info in infos]

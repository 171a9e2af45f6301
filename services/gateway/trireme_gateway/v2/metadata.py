"""What the server and its models say of themselves, as plain values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypedDict

import orjson

from trireme_common.stage_state import State, TensorInfo
from trireme_common.triton.tensors import type_name
from trireme_gateway.catalog import Catalog
from trireme_gateway.v2.inference import resolve
from trireme_gateway.v2.signature import signature_of

SERVER_NAME = "trireme"
EXTENSIONS = (
    "classification",
    "model_repository",
    "model_repository(unload_dependents)",
    "schedule_policy",
    "model_configuration",
    "system_shared_memory",
    "binary_tensor_data",
    "statistics",
    "trace",
    "logging",
)


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


def model_config(catalog: Catalog, name: str, version: str | None) -> dict[str, Any]:
    """Triton's configuration of a version; of a pipeline, with the tensors that its callers see.

    Raises TriremeError as `resolve` does.
    """
    route = resolve(catalog, name, version)
    signature = signature_of(route)
    config: dict[str, Any] = orjson.loads(route.descriptor.config or b"{}")
    config["name"] = route.name
    if not route.bare or not route.descriptor.config:
        skipped = int(signature.batched)
        config["platform"] = signature.platform
        config.setdefault("max_batch_size", skipped)
        config["input"] = [_configured(info, skipped) for info in signature.inputs]
        config["output"] = [_configured(info, skipped) for info in signature.outputs]
    return config


def repository_index(catalog: Catalog, *, ready_only: bool) -> list[IndexEntry]:
    """An entry for every version, and one without a version for a model that has none."""
    return [
        {"name": status.name, "version": status.version, "state": status.state.value, "reason": status.reason}
        for status in catalog.statuses()
        if not ready_only or status.state is State.READY
    ]


def _configured(info: TensorInfo, skipped: int) -> dict[str, Any]:
    return {"name": info.name, "data_type": type_name(info.datatype), "dims": list(info.shape[skipped:])}


def _tensors(infos: Sequence[TensorInfo]) -> list[TensorMetadata]:
    return [{"name": info.name, "datatype": info.datatype, "shape": list(info.shape)} for info in infos]

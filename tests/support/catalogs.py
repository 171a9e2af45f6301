"""States of stages and routing tables, as the gateway sees them."""

from __future__ import annotations

from dataclasses import replace

from trireme_common.stage_state import ModelDescriptor, ModelVersion, StageState, State, TensorInfo
from trireme_gateway.catalog import STAGES, Catalog

LABELS = ("负面", "正面")


def descriptor(task: str = "text-classification", **changes: object) -> ModelDescriptor:
    """Of a model that is not cached, so that every call reaches the hops."""
    base = ModelDescriptor(
        task=task,
        platform="onnxruntime_onnx",
        inputs=(TensorInfo("x", "FP32", (-1, 4)),),
        outputs=(TensorInfo("y", "FP32", (-1, 2)),),
        max_batch_size=32,
        labels=LABELS if task == "text-classification" else (),
        has_preprocess=task != "tensor",
        has_postprocess=task != "tensor",
        digest="d" * 64,
        cache_enabled=False,
    )
    return replace(base, **changes)  # type: ignore[arg-type]


def version(
    name: str, number: str = "1", found: State = State.READY, reason: str = "", **changes: object
) -> ModelVersion:
    loaded = found in (State.READY, State.UNLOADING)
    return ModelVersion(name, number, found, reason, descriptor(**changes) if loaded else None)  # type: ignore[arg-type]


def state(*models: str | ModelVersion, draining: bool = False, device: str = "") -> StageState:
    """Names stand for a READY version 1 of a text classification."""
    return StageState(
        tuple(version(model) if isinstance(model, str) else model for model in models), draining, device
    )


def catalog(*models: str | ModelVersion) -> Catalog:
    """Every stage has one endpoint with all of `models`."""
    found = Catalog()
    found.rebuild({stage: [state(*models, device="cpu")] for stage in STAGES})
    return found

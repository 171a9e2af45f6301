"""Models of a foreign inference server among those of the repository.

Such a server knows of a model what its protocol tells: tensors and configuration. What model.yaml says beside
them, preprocess and postprocess know, which read the repository.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from trireme_common.stage_state import ModelDescriptor, ModelVersion, StageState

_TENSOR = "tensor"


def adopted(known: ModelDescriptor, running: ModelDescriptor) -> ModelDescriptor:
    """What inference says of a version; where a foreign server says it, what the repository says besides."""
    if not _is_foreign(running):
        return running
    return replace(
        known,
        platform=running.platform,
        inputs=running.inputs or known.inputs,
        outputs=running.outputs or known.outputs,
        max_batch_size=running.max_batch_size,
        config=running.config,
    )


def lone(
    name: str, entry: ModelVersion | None, stages: Iterable[Mapping[tuple[str, str], ModelVersion]]
) -> ModelDescriptor | None:
    """A version that a foreign server has, of a model that the repository lacks: tensors in, tensors out.
    `stages` is what each of those that read the repository knows.

    Its answers are not kept, because nothing tells when another artefact answers under the same version.
    """
    if entry is None or entry.descriptor is None or not _is_foreign(entry.descriptor):
        return None
    if any(not known or any(model == name for model, _ in known) for known in stages):
        return None
    return replace(entry.descriptor, task=_TENSOR, cache_enabled=False)


def versions_in(states: Iterable[StageState]) -> dict[str, dict[str, int]]:
    """Versions by model, as the endpoints of a stage have them, and the rows that a run of each may have."""
    found: dict[str, dict[str, int]] = {}
    for state in states:
        for model in state.models:
            if model.version and model.descriptor is not None:
                found.setdefault(model.name, {})[model.version] = model.descriptor.max_batch_size
    return found


def _is_foreign(descriptor: ModelDescriptor) -> bool:
    """Every stage of ours names the task."""
    return not descriptor.task

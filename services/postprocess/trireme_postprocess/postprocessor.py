"""A model version's postprocessing: one row of the model's outputs -> an answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from trireme_common.errors import Code, ItemError, SpecError
from trireme_common.model_spec import ModelSpec
from trireme_common.repository import VersionFiles, content_digest
from trireme_common.stage_state import ModelDescriptor
from trireme_common.steps import Assets, Chain
from trireme_common.tensors import Array, Tensor
from trireme_postprocess.answers import Classification
from trireme_postprocess.steps import CLASSIFICATION_TASKS, RESHAPING_STEPS, build_chain


class Postprocessor:
    """Servable of the postprocess stage. The first output that model.yaml names is the one used."""

    notes = ""

    def __init__(self, output: str, chain: Chain, descriptor: ModelDescriptor) -> None:
        self.descriptor = descriptor
        self._output = output
        self._chain = chain

    def __call__(self, tensors: Sequence[Tensor]) -> Classification | Array:
        """Classification, or float64 [k] of a regression or embedding. Raises ItemError."""
        for tensor in tensors:
            if tensor.name == self._output:
                values = np.asarray(tensor.array(), dtype=np.float64).ravel()
                answer: Classification | Array = self._chain(values)
                if not isinstance(answer, Classification) and not np.isfinite(answer).all():
                    raise ItemError(Code.MODEL_FAILED, "the model gave a value that is not finite")
                return answer
        raise ItemError(Code.MODEL_FAILED, f"the model gave no output '{self._output}'")

    async def close(self) -> None:
        """Nothing to free."""


class PassThrough:
    """Servable of a `tensor` model, whose outputs are its answer: the gateway skips this hop."""

    notes = ""

    def __init__(self, descriptor: ModelDescriptor) -> None:
        self.descriptor = descriptor

    def __call__(self, tensors: Sequence[Tensor]) -> Classification | Array:
        raise ItemError(Code.UNIMPLEMENTED, "a tensor model has no postprocessing")

    async def close(self) -> None:
        """Nothing to free."""


def load(files: VersionFiles) -> Postprocessor | PassThrough:
    """Builds the chain of one version. Raises SpecError where a step or an asset is wrong."""
    spec = files.spec
    digest = content_digest(files, with_model=False)
    if spec.task == "tensor":
        return PassThrough(ModelDescriptor.of(spec, digest=digest))
    steps = [(step.name, step.parameters) for step in spec.postprocess]
    assets = Assets(files.directory)
    chain = build_chain(spec.task, steps, assets)
    labels = _labels(spec, steps, assets)
    descriptor = ModelDescriptor.of(spec, digest=digest, labels=labels)
    return Postprocessor(spec.outputs[0].name, chain, descriptor)


def _labels(spec: ModelSpec, steps: Sequence[tuple[str, dict[str, Any]]], assets: Assets) -> tuple[str, ...]:
    """Labels of a classification in the model's own order, found by answering a row of equal scores."""
    classes = spec.outputs[0].shape[-1]
    if spec.task not in CLASSIFICATION_TASKS or classes < 1:
        return ()
    naming = [step for step in steps if step[0] not in RESHAPING_STEPS]
    try:
        answer = build_chain(spec.task, naming, assets)(np.full(classes, 1.0 / classes))
    except ItemError as error:
        raise SpecError(f"the postprocess steps do not fit {classes} classes: {error.detail}") from error
    if not isinstance(answer, Classification):
        raise SpecError("the postprocess steps of a classification must end in one")
    return answer.labels

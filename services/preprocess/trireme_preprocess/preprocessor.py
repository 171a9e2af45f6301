"""A model version's preprocessing: one item as the caller sent it -> the model's tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from trireme_common.errors import Code, ItemError, SpecError
from trireme_common.model_spec import ModelSpec
from trireme_common.repository import VersionFiles, content_digest
from trireme_common.stage_state import ModelDescriptor
from trireme_common.steps import Assets, Chain
from trireme_common.tensors import Array, Tensor, dtype_of
from trireme_preprocess.steps import VOCABULARY
from trireme_preprocess.steps.tokens import Tokenize

TOKENS = "tokens"
"""Name of an item that holds the ids of a text's tokens."""

# What the first step of a task receives: text, bytes of a picture, or numbers.
KIND_OF_TASK = {
    "text-classification": "text",
    "text-embedding": "text",
    "image-classification": "bytes",
    "tabular": "numbers",
}


class Preprocessor:
    """Servable of the preprocess stage; pure but for the assets it read when it was built."""

    notes = ""

    def __init__(
        self, spec: ModelSpec, chain: Chain, descriptor: ModelDescriptor, tokens_chain: Chain | None = None
    ) -> None:
        """`tokens_chain` is what of `chain` is left for a text that comes as token ids, if it may."""
        self.descriptor = descriptor
        self._kind = KIND_OF_TASK[spec.task]
        self.heavy = self._kind == "bytes"
        """Whether a small item may be much work: a picture of few bytes can have many pixels."""
        self._chain = chain
        self._tokens_chain = tokens_chain
        self._inputs = [(tensor.name, dtype_of(tensor.datatype)) for tensor in spec.inputs]
        features = spec.inputs[0].shape[-1]
        self._features = features if self._kind == "numbers" and features > 0 else None

    def __call__(self, item: Tensor) -> list[Tensor]:
        """The model's inputs for one item, batch dimension 1 first. Raises ItemError."""
        if (item.datatype == "BYTES") == (self._kind == "numbers"):
            value = self._of_tokens(item)
        else:
            value = self._chain(self._value(item))
        if not isinstance(value, dict):
            value = {self._inputs[0][0]: value}
        return [Tensor.of(name, self._input(value, name, dtype)) for name, dtype in self._inputs]

    def _input(self, value: dict[str, Array], name: str, dtype: np.dtype[Any] | None) -> Array:
        array = value[name]
        if dtype is not None and array.dtype != dtype:
            with np.errstate(over="ignore"):
                array = array.astype(dtype)
            if self._kind == "numbers" and not np.isfinite(array).all():
                raise ItemError(Code.NON_FINITE_NUMBER, "a number is too large for the model's datatype")
        return array[np.newaxis]

    def _value(self, item: Tensor) -> Any:
        """The item as the first step takes it."""
        if self._kind == "numbers":
            return self._numbers(item.array())
        array = item.array()
        if array.size != 1:
            raise ItemError(Code.WRONG_SHAPE, f"an item is one element of BYTES, not {array.size}")
        data = array.item()
        if self._kind == "bytes":
            return data
        text = data.decode("utf-8", "replace")
        if not text.strip():
            raise ItemError(Code.BLANK_TEXT, "the text is blank")
        return text

    def _of_tokens(self, item: Tensor) -> Any:
        """What the chain makes of a text's token ids, the only item of another kind than the model's."""
        if self._kind != "text" or item.name != TOKENS:
            raise ItemError(Code.INVALID_ARGUMENT, f"the model takes {self._kind}, not {item.datatype}")
        if self._tokens_chain is None:
            raise ItemError(
                Code.INVALID_ARGUMENT, "the model takes no token ids: its steps have no `tokenize`"
            )
        ids = item.array().ravel()
        if ids.dtype.kind not in "iu":
            raise ItemError(Code.INVALID_ARGUMENT, f"token ids are integers, not {item.datatype}")
        return self._tokens_chain(ids)

    def _numbers(self, array: Array) -> Array:
        numbers = array.ravel().astype(np.float64)
        if self._features is not None and len(numbers) != self._features:
            raise ItemError(Code.WRONG_SHAPE, f"{len(numbers)} numbers, but the model takes {self._features}")
        if not np.isfinite(numbers).all():
            raise ItemError(Code.NON_FINITE_NUMBER, "a number is NaN or infinite")
        return numbers

    async def close(self) -> None:
        """Nothing to free."""


class PassThrough:
    """Servable of a `tensor` model: its tensors need no preprocessing."""

    notes = ""
    heavy = False

    def __init__(self, descriptor: ModelDescriptor) -> None:
        self.descriptor = descriptor

    def __call__(self, item: Tensor) -> list[Tensor]:
        return [item]

    async def close(self) -> None:
        """Nothing to free."""


def load(files: VersionFiles) -> Preprocessor | PassThrough:
    """Builds the chain of one version. Raises SpecError where a step or an asset is wrong."""
    descriptor = ModelDescriptor.of(files.spec, digest=content_digest(files, with_model=False))
    if files.spec.task == "tensor":
        return PassThrough(descriptor)
    steps = [
        (step.name, _with_limits(step.name, step.parameters, files.spec)) for step in files.spec.preprocess
    ]
    kind = KIND_OF_TASK[files.spec.task]
    chain = VOCABULARY.build(steps, Assets(files.directory), kind)
    if chain.gives != "tensors" and len(files.spec.inputs) != 1:
        raise SpecError(
            f"the preprocess steps give {chain.gives}, but the model takes {len(files.spec.inputs)} inputs"
        )
    if chain.gives in ("text", "bytes"):
        raise SpecError(f"the preprocess steps give {chain.gives}; the last one must give tensors or numbers")
    preprocessor = Preprocessor(files.spec, chain, descriptor, _after_text(chain, steps))
    _try_out(preprocessor, files.spec, kind)
    return preprocessor


def _after_text(chain: Chain, steps: Sequence[tuple[str, dict[str, Any]]]) -> Chain | None:
    """The chain from its tokenizer on; None where it has none."""
    at = next((at for at, (name, _) in enumerate(steps) if name == Tokenize.name), None)
    return None if at is None else Chain(chain.functions[at:], chain.gives)


def _with_limits(name: str, parameters: dict[str, Any], spec: ModelSpec) -> dict[str, Any]:
    """The step's parameters, with the model's ruling on over-long text where the step may cut it."""
    if VOCABULARY.takes_parameter(name, "long_text") and "long_text" not in parameters:
        return {**parameters, "long_text": spec.limits.long_text}
    return parameters


def _try_out(preprocessor: Preprocessor, spec: ModelSpec, kind: str) -> None:
    """Runs a harmless item, so that a chain that misses an input is refused before it serves."""
    if kind == "bytes" or (kind == "numbers" and spec.inputs[0].shape[-1] < 0):
        return  # which pictures, or how many numbers, a chain takes is not known; inference checks the shapes
    array = np.array([b"a"], dtype=object) if kind == "text" else np.zeros(spec.inputs[0].shape[-1])
    try:
        preprocessor(Tensor.of("trial", array))
    except KeyError as error:
        raise SpecError(
            f"the preprocess steps give no tensor {error.args[0]!r}, which the model takes"
        ) from error
    except ItemError as error:
        raise SpecError(f"the preprocess steps refuse a plain {kind} item: {error.detail}") from error

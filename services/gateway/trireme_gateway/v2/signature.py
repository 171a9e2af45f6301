"""What a route takes and gives, in the protocol's terms, and whether a request agrees with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from trireme_common.errors import Code, TriremeError
from trireme_common.stage_state import TensorInfo
from trireme_common.tensors import Tensor
from trireme_gateway.catalog import Route
from trireme_gateway.items import INPUT_OF_TASK
from trireme_gateway.v2.requests import RequestedOutput

PIPELINE_PLATFORM = "trireme_pipeline"

_CLASSIFICATION_TASKS = ("text-classification", "image-classification")


@dataclass(frozen=True, slots=True)
class Signature:
    """Tensors of a route. `batched`: every tensor has the batch as its free first dimension."""

    model: str
    platform: str
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    batched: bool

    def in_order(self, tensors: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """The inputs in the model's own order, so that the same question is the same bytes to the cache.

        Raises TriremeError(INVALID_ARGUMENT or WRONG_SHAPE), worded as Triton does.
        """
        self.check_names(tensors)
        given = {tensor.name: tensor for tensor in tensors}
        for info in self.inputs:
            tensor = given[info.name]
            if tensor.datatype != info.datatype:
                raise self.unexpected_datatype(info, tensor.datatype)
            if not _fits(tensor.shape, info.shape):
                raise self.unexpected_shape(info, tensor.shape)
        return tuple(given[info.name] for info in self.inputs)

    def check_names(self, tensors: Sequence[Tensor]) -> None:
        """Raises TriremeError(INVALID_ARGUMENT) for a missing or unknown input."""
        names = [tensor.name for tensor in tensors]
        expected = [info.name for info in self.inputs]
        unknown = [name for name in names if name not in expected]
        missing = [name for name in expected if name not in names]
        if unknown:
            raise TriremeError(
                Code.INVALID_ARGUMENT,
                f"unexpected inference input '{unknown[0]}' for model '{self.model}'; "
                f"its inputs are {', '.join(expected)}",
            )
        if missing:
            raise TriremeError(
                Code.INVALID_ARGUMENT,
                f"expected {len(expected)} inputs but got {len(names)} inputs for model '{self.model}'. "
                f"Got input(s) {names}, but missing required input(s) {missing}",
            )

    def unexpected_datatype(self, info: TensorInfo, got: str) -> TriremeError:
        return TriremeError(
            Code.INVALID_ARGUMENT,
            f"inference input '{info.name}' data-type is '{got}', but model '{self.model}' "
            f"expects '{info.datatype}'",
        )

    def unexpected_shape(self, info: TensorInfo, got: Sequence[int]) -> TriremeError:
        return TriremeError(
            Code.WRONG_SHAPE,
            f"unexpected shape for input '{info.name}' for model '{self.model}'. "
            f"Expected {_list(info.shape)}, got {_list(got)}",
        )

    def check_outputs(self, requested: Sequence[RequestedOutput]) -> None:
        """Raises TriremeError(INVALID_ARGUMENT) for an output that the model does not have."""
        known = [info.name for info in self.outputs]
        for output in requested:
            if output.name not in known:
                raise TriremeError(
                    Code.INVALID_ARGUMENT,
                    f"unexpected inference output '{output.name}' for model '{self.model}'; "
                    f"its outputs are {', '.join(known)}",
                )


def signature_of(route: Route) -> Signature:
    """Signature of a bare model as its descriptor has it, of a pipeline as its task has it."""
    found = route.descriptor
    if route.bare:
        batched = all(info.shape[:1] == (-1,) for info in (*found.inputs, *found.outputs))
        return Signature(route.name, found.platform, found.inputs, found.outputs, batched)
    name, datatype = INPUT_OF_TASK[found.task]
    shape = (-1, -1) if found.task == "tabular" else (-1,)
    inputs = (TensorInfo(name, datatype, shape),)
    return Signature(route.name, PIPELINE_PLATFORM, inputs, _pipeline_outputs(route), batched=True)


def _pipeline_outputs(route: Route) -> tuple[TensorInfo, ...]:
    if route.descriptor.task in _CLASSIFICATION_TASKS:
        classes = len(route.descriptor.labels) or -1
        return (
            TensorInfo("label", "BYTES", (-1,)),
            TensorInfo("confidence", "FP32", (-1,)),
            TensorInfo("probabilities", "FP32", (-1, classes)),
        )
    if route.descriptor.task == "tabular":
        return (TensorInfo("value", "FP64", (-1, -1)),)
    return (TensorInfo("embedding", "FP32", (-1, -1)),)


def _fits(shape: Sequence[int], expected: Sequence[int]) -> bool:
    return len(shape) == len(expected) and all(
        want in (-1, got) for got, want in zip(shape, expected, strict=True)
    )


def _list(shape: Sequence[int]) -> str:
    return f"[{','.join(map(str, shape))}]"

"""Between protobuf messages and the domain: the stream's payloads and the Open Inference Protocol."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from trireme_common.errors import Code, TriremeError
from trireme_common.oip_contents import FIELDS
from trireme_common.stage_state import TensorInfo
from trireme_common.tensors import (
    Tensor,
    decode_bytes,
    decode_tensors,
    dtype_of,
    encode_bytes,
    tensor_head,
)
from trireme_inference.requests import Part, Shapes
from trireme_inference.signature import Signature
from trireme_protos.inference import grpc_service_pb2 as oip

_CHECKED = ("BYTES", "BOOL")  # their bytes can be wrong although their number is right
_MOST_TEMPLATES = 1024
_COPIED_BYTES = 4096  # less is copied in the time that a view of it takes


class PayloadCodec:
    """An item's payload, a serialised `trireme.v1.Tensors`, for the tensors of one signature.

    Everything but a tensor's bytes is the same for every item of equal shapes. On the way out those
    heads are made once, and a payload is one join. On the way in a payload that has the length and
    the heads of one that was checked before needs no parsing and no check: its parts are slices, and
    views on it where it is large.
    """

    def __init__(self, signature: Signature) -> None:
        self._signature = signature
        self._known: dict[int, _Template] = {}
        self._heads: dict[Shapes, tuple[bytes, ...]] = {}
        self._plain_inputs = all(info.datatype not in _CHECKED for info in signature.inputs)
        self._plain_outputs = all(info.datatype != "BYTES" for info in signature.outputs)

    def decode(self, payload: bytes) -> tuple[tuple[Part, ...], Shapes, int]:
        """Parts, shapes and rows of a Request. Raises TriremeError as `Signature.check` does."""
        template = self._known.get(len(payload))
        if template is not None:
            parts = template.cut(payload)
            if parts is not None:
                return parts, template.shapes, template.rows
        tensors = decode_tensors(payload)
        checked = self._signature.check(tensors)
        if self._plain_inputs:
            self._learn(payload, tensors, *checked)
        return checked

    def encode(self, shapes: Shapes, parts: Sequence[Part]) -> bytes:
        """Payload of the signature's outputs."""
        heads = self._heads.get(shapes)
        if heads is None:
            infos = self._signature.outputs
            heads = tuple(
                tensor_head(info.name, info.datatype, shape, len(part))
                for info, shape, part in zip(infos, shapes, parts, strict=True)
            )
            if self._plain_outputs and len(self._heads) < _MOST_TEMPLATES:
                self._heads[shapes] = heads
        if len(parts) == 1:
            return b"".join((heads[0], parts[0]))
        return b"".join(piece for pair in zip(heads, parts, strict=True) for piece in pair)

    def _learn(
        self, payload: bytes, tensors: Sequence[Tensor], parts: tuple[Part, ...], shapes: Shapes, rows: int
    ) -> None:
        template = _Template(
            tuple(
                tensor_head(tensor.name, tensor.datatype, tensor.shape, len(tensor.data))
                for tensor in tensors
            ),
            tuple(len(tensor.data) for tensor in tensors),
            shapes,
            rows,
        )
        # A sender may order inputs or fields in its own way; its payloads are then parsed each time.
        in_order = all(
            tensor.name == info.name for tensor, info in zip(tensors, self._signature.inputs, strict=True)
        )
        if in_order and template.cut(payload) == parts and len(self._known) < _MOST_TEMPLATES:
            self._known[len(payload)] = template


class _Template:
    """What all payloads of one length and equal shapes have in common."""

    __slots__ = ("_heads", "_lengths", "rows", "shapes")

    def __init__(self, heads: tuple[bytes, ...], lengths: tuple[int, ...], shapes: Shapes, rows: int) -> None:
        self._heads = heads
        self._lengths = lengths
        self.shapes = shapes
        self.rows = rows

    def cut(self, payload: bytes) -> tuple[Part, ...] | None:
        """Bytes of every tensor; None where the payload has other heads."""
        parts: list[Part] = []
        whole = payload if len(payload) <= _COPIED_BYTES else memoryview(payload)
        position = 0
        for head, length in zip(self._heads, self._lengths, strict=True):
            if not payload.startswith(head, position):
                return None
            position += len(head)
            parts.append(whole[position : position + length])
            position += length
        return tuple(parts) if position == len(payload) else None


def priority(request: oip.ModelInferRequest) -> int:
    """The request parameter of that name: 1 is the highest, 0 the model's default, also where it is absent.

    Raises TriremeError(INVALID_ARGUMENT) for anything but a number that is not negative.
    """
    return _number(request, "priority", "1 is the highest")


def timeout_seconds(request: oip.ModelInferRequest) -> float:
    """Triton's request parameter `timeout`, there in microseconds: how long the caller waits; infinite where
    it is absent or 0. Raises TriremeError as `priority` does."""
    return _number(request, "timeout", "microseconds") / 1e6 or math.inf


def _number(request: oip.ModelInferRequest, name: str, meaning: str) -> int:
    if name not in request.parameters:
        return 0
    parameter = request.parameters[name]
    kind = parameter.WhichOneof("parameter_choice")
    value = getattr(parameter, kind) if kind in ("int64_param", "uint64_param") else -1
    if value < 0:
        raise TriremeError(Code.INVALID_ARGUMENT, f"parameter '{name}' is a number from 0 on; {meaning}")
    return int(value)


def infer_inputs(request: oip.ModelInferRequest) -> tuple[Tensor, ...]:
    """Inputs of a ModelInfer request, from raw or typed contents. Raises TriremeError(INVALID_ARGUMENT)."""
    raw = request.raw_input_contents
    if not raw:
        return tuple(_typed_tensor(tensor) for tensor in request.inputs)
    if len(raw) != len(request.inputs):
        raise TriremeError(
            Code.INVALID_ARGUMENT,
            f"{len(raw)} raw_input_contents for {len(request.inputs)} inputs; one each is expected",
        )
    both = [tensor.name for tensor in request.inputs if tensor.HasField("contents")]
    if both:
        raise TriremeError(Code.INVALID_ARGUMENT, f"input '{both[0]}' has contents beside raw_input_contents")
    return tuple(
        Tensor(tensor.name, tensor.datatype, tuple(tensor.shape), data)
        for tensor, data in zip(request.inputs, raw, strict=True)
    )


def _typed_tensor(tensor: oip.ModelInferRequest.InferInputTensor) -> Tensor:
    field = FIELDS.get(tensor.datatype)
    if field is None:
        raise TriremeError(
            Code.INVALID_ARGUMENT,
            f"input '{tensor.name}': {tensor.datatype!r} has no typed contents; send raw ones",
        )
    strange = [other.name for other, _ in tensor.contents.ListFields() if other.name != field]
    if strange:
        raise TriremeError(
            Code.INVALID_ARGUMENT,
            f"input '{tensor.name}': {tensor.datatype} is expected in {field}, not {strange[0]}",
        )
    values: Any = getattr(tensor.contents, field)
    dtype = dtype_of(tensor.datatype)
    if dtype is None:
        data = encode_bytes(values)
    else:
        try:
            data = np.array(list(values), dtype=dtype).tobytes()
        except OverflowError as error:
            raise TriremeError(
                Code.INVALID_ARGUMENT, f"input '{tensor.name}': a value does not fit into {tensor.datatype}"
            ) from error
    return Tensor(tensor.name, tensor.datatype, tuple(tensor.shape), data)


def infer_response(
    request: oip.ModelInferRequest, version: str, outputs: Sequence[Tensor]
) -> oip.ModelInferResponse:
    """Answer to `request`: the requested outputs, typed if the request was and every datatype allows it."""
    wanted = [output.name for output in request.outputs]
    chosen = [tensor for tensor in outputs if tensor.name in wanted] if wanted else list(outputs)
    typed = not request.raw_input_contents and all(tensor.datatype in FIELDS for tensor in chosen)
    response = oip.ModelInferResponse(model_name=request.model_name, model_version=version, id=request.id)
    for tensor in chosen:
        output = response.outputs.add(name=tensor.name, datatype=tensor.datatype, shape=tensor.shape)
        if typed:
            getattr(output.contents, FIELDS[tensor.datatype]).extend(_values(tensor))
        else:
            response.raw_output_contents.append(bytes(tensor.data))
    return response


def check_requested(request: oip.ModelInferRequest, outputs: Iterable[TensorInfo]) -> None:
    """Raises TriremeError(INVALID_ARGUMENT) for a requested output that the model does not have."""
    known = [info.name for info in outputs]
    for output in request.outputs:
        if output.name not in known:
            raise TriremeError(
                Code.INVALID_ARGUMENT, f"unknown output '{output.name}'; the model gives {', '.join(known)}"
            )


def _values(tensor: Tensor) -> list[Any]:
    if tensor.datatype == "BYTES":
        return decode_bytes(tensor.name, tensor.data)
    values: list[Any] = tensor.array().ravel().tolist()
    return values

"""Tensors to a ModelInferRequest, and back from a ModelInferResponse, always without conversion of values
where the server answers in raw contents."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError

from trireme_common.errors import Code, TriremeError
from trireme_common.oip_contents import FIELDS
from trireme_common.tensors import Tensor, dtype_of, encode_bytes
from trireme_protos.inference import grpc_service_pb2 as pb


def encode_request(
    model: str, version: str, tensors: Sequence[Tensor], request_id: str, priority: int = 0
) -> bytes:
    """`version` may be empty; `priority` 0 leaves it to the model."""
    message = pb.ModelInferRequest(model_name=model, model_version=version, id=request_id)
    for tensor in tensors:
        message.inputs.add(name=tensor.name, datatype=tensor.datatype, shape=tensor.shape)
        message.raw_input_contents.append(bytes(tensor.data))
    if priority:
        message.parameters["priority"].uint64_param = priority
    return message.SerializeToString()


def decode_response(data: bytes) -> tuple[Tensor, ...]:
    """Outputs, from raw or typed contents. Raises TriremeError(INTERNAL) for what is no answer."""
    try:
        message = pb.ModelInferResponse.FromString(data)
    except DecodeError as error:
        raise _unreadable("it is not a message of the protocol") from error
    raw = message.raw_output_contents
    if not raw:
        return tuple(map(_typed, message.outputs))
    if len(raw) != len(message.outputs):
        raise _unreadable(f"it has {len(raw)} raw contents for {len(message.outputs)} outputs")
    return tuple(
        Tensor(output.name, output.datatype, tuple(output.shape), contents)
        for output, contents in zip(message.outputs, raw, strict=True)
    )


def _typed(output: pb.ModelInferResponse.InferOutputTensor) -> Tensor:
    field = FIELDS.get(output.datatype)
    if field is None:
        raise _unreadable(f"output '{output.name}' of {output.datatype!r} has no raw contents")
    values: Any = getattr(output.contents, field)
    dtype = dtype_of(output.datatype)
    try:
        data = encode_bytes(values) if dtype is None else np.array(list(values), dtype=dtype).tobytes()
    except OverflowError as error:
        raise _unreadable(f"a value of output '{output.name}' does not fit {output.datatype}") from error
    return Tensor(output.name, output.datatype, tuple(output.shape), data)


def _unreadable(why: str) -> TriremeError:
    return TriremeError(Code.INTERNAL, f"the inference server gave an answer that cannot be read: {why}")

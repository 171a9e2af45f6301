"""Triton's raw binary request: a body that is the data of the model's one input, and nothing else.

`Inference-Header-Content-Length: 0` says so. Its name, datatype and shape are the model's own; where
the model has a batch, the body is a batch of one. The outputs go back as binary data.
"""

from __future__ import annotations

import math

from trireme_common.errors import Code, TriremeError
from trireme_common.stage_state import TensorInfo
from trireme_common.tensors import Tensor, dtype_of, encode_bytes
from trireme_gateway.v2.binary_codec import decode_binary
from trireme_gateway.v2.requests import InferRequest
from trireme_gateway.v2.signature import Signature


def is_raw(header_length: str | None) -> bool:
    """Whether the header `Inference-Header-Content-Length` says that no JSON stands before the data."""
    return header_length == "0"


def decode_raw(body: bytes, signature: Signature) -> InferRequest:
    """Raises TriremeError(INVALID_ARGUMENT) where the model's inputs cannot be told from the bytes alone:
    several inputs, several free dimensions, or BYTES of more than one element."""
    if len(signature.inputs) != 1:
        raise TriremeError(
            Code.INVALID_ARGUMENT,
            f"a raw request is for models of one input, but model '{signature.model}' has "
            f"{len(signature.inputs)}: say Inference-Header-Content-Length and which data is whose",
        )
    (info,) = signature.inputs
    tensor = _text(info, signature, body) if info.datatype == "BYTES" else _numbers(info, signature, body)
    return InferRequest((tensor,), parameters={"binary_data_output": True})


def _text(info: TensorInfo, signature: Signature, body: bytes) -> Tensor:
    """One element, which has no length before it."""
    shape = _batch_of_one(info, signature)
    if any(dimension != 1 for dimension in shape):
        raise _undecided(info, signature, "it takes BYTES that are not one element")
    return Tensor(info.name, "BYTES", shape, encode_bytes((body,)))


def _numbers(info: TensorInfo, signature: Signature, body: bytes) -> Tensor:
    shape = _batch_of_one(info, signature)
    if shape.count(-1) > 1:
        raise _undecided(info, signature, "several of its dimensions are free")
    if -1 in shape:
        dtype = dtype_of(info.datatype)
        assert dtype is not None
        row = math.prod(dimension for dimension in shape if dimension != -1) * dtype.itemsize
        count = len(body) // row if row else 0
        shape = tuple(count if dimension == -1 else dimension for dimension in shape)
    return decode_binary(info.name, info.datatype, shape, body)


def _batch_of_one(info: TensorInfo, signature: Signature) -> tuple[int, ...]:
    return (1, *info.shape[1:]) if signature.batched else info.shape


def _undecided(info: TensorInfo, signature: Signature, why: str) -> TriremeError:
    return TriremeError(
        Code.INVALID_ARGUMENT,
        f"the shape of input '{info.name}' of model '{signature.model}' cannot be told from a raw "
        f"request: {why}; say Inference-Header-Content-Length and the shape",
    )

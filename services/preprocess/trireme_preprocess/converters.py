"""Payloads of preprocess.proto to the domain's tensors."""

from __future__ import annotations

from trireme_common.errors import Code, ItemError
from trireme_common.tensors import Tensor, decode_tensors


def decode_item(payload: bytes) -> Tensor:
    """The one tensor of an item. Raises TriremeError(INVALID_ARGUMENT) for anything else."""
    tensors = decode_tensors(payload)
    if len(tensors) != 1 or not all(tensors[0].shape):
        raise ItemError(Code.INVALID_ARGUMENT, "an item of preprocess is one tensor that is not empty")
    return tensors[0]

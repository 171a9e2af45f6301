"""Tensors of the Open Inference Protocol with binary data, with numpy or without it.

A request is one JSON header and behind it the bytes of all tensors; `inference-header-content-length`
says where one ends and the other begins (Triton's binary tensor data extension).
"""

from __future__ import annotations

import importlib
import json
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

HEADER_LENGTH = "inference-header-content-length"
_DTYPES = {
    "BOOL": "?",
    "UINT8": "u1",
    "UINT16": "<u2",
    "UINT32": "<u4",
    "UINT64": "<u8",
    "INT8": "i1",
    "INT16": "<i2",
    "INT32": "<i4",
    "INT64": "<i8",
    "FP16": "<f2",
    "FP32": "<f4",
    "FP64": "<f8",
}


@dataclass(frozen=True, slots=True)
class Tensor:
    """`data` holds the elements of `datatype`, row-major and little-endian; an element of BYTES stands
    behind its length as a 4-byte integer."""

    datatype: str
    shape: tuple[int, ...]
    data: bytes

    @classmethod
    def of(cls, array: np.ndarray[Any, Any]) -> Tensor:
        """Of a numeric or boolean array, or one of strings or bytes. Raises TypeError for any other."""
        if array.dtype.kind in "OSU":
            return cls.of_elements(array.ravel().tolist(), array.shape)
        numpy = _numpy()
        for datatype, dtype in _DTYPES.items():
            if array.dtype.newbyteorder("<") == dtype:
                return cls(datatype, array.shape, numpy.ascontiguousarray(array, dtype).tobytes())
        raise TypeError(f"the protocol has no datatype for {array.dtype}")

    @classmethod
    def of_elements(cls, elements: Sequence[str | bytes], shape: tuple[int, ...] | None = None) -> Tensor:
        """BYTES of strings (as UTF-8) or bytes; `shape` is [N] by default."""
        encoded = [element.encode() if isinstance(element, str) else element for element in elements]
        data = b"".join(struct.pack("<I", len(element)) + element for element in encoded)
        return cls("BYTES", (len(encoded),) if shape is None else shape, data)

    def elements(self) -> list[bytes]:
        """Elements of BYTES, flat. Raises ValueError for another datatype, or where a length overruns."""
        if self.datatype != "BYTES":
            raise ValueError(f"{self.datatype} has no elements of bytes; array() reads it")
        found, at = [], 0
        while at < len(self.data):
            (length,) = struct.unpack_from("<I", self.data, at) if at + 4 <= len(self.data) else (-1,)
            at += 4 + length
            if length < 0 or at > len(self.data):
                raise ValueError("an element of BYTES overruns its tensor")
            found.append(self.data[at - length : at])
        return found

    def array(self) -> np.ndarray[Any, Any]:
        """As an array of `shape`, BYTES as objects. Raises ImportError without numpy."""
        numpy = _numpy()
        if self.datatype == "BYTES":
            objects = numpy.empty(len(elements := self.elements()), dtype=object)
            objects[:] = elements
            return objects.reshape(self.shape)  # type: ignore[no-any-return]
        return numpy.frombuffer(self.data, _DTYPES[self.datatype]).reshape(self.shape)  # type: ignore[no-any-return]


def _numpy() -> Any:
    try:
        return importlib.import_module("numpy")
    except ImportError as error:
        raise ImportError("arrays need numpy: pip install 'trireme-client[numpy]'") from error


def encode_request(inputs: Mapping[str, Tensor], outputs: Iterable[str]) -> tuple[bytes, int]:
    """The body of an inference, and the length of its JSON header."""
    header: dict[str, Any] = {
        "inputs": [
            {
                "name": name,
                "datatype": tensor.datatype,
                "shape": tensor.shape,
                "parameters": {"binary_data_size": len(tensor.data)},
            }
            for name, tensor in inputs.items()
        ],
        "parameters": {"binary_data_output": True},
    }
    if named := [{"name": name, "parameters": {"binary_data": True}} for name in outputs]:
        header["outputs"] = named
    head = json.dumps(header, ensure_ascii=False).encode()
    return b"".join((head, *(tensor.data for tensor in inputs.values()))), len(head)


def decode_response(content: bytes, header_length: int) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The JSON header of an answer, and its tensors. Raises ValueError or KeyError where it is none."""
    header: dict[str, Any] = json.loads(content[:header_length])
    at = header_length
    tensors: dict[str, Tensor] = {}
    for output in header["outputs"]:
        size = output["parameters"]["binary_data_size"]
        if at + size > len(content):
            raise ValueError("the answer is shorter than its header says")
        tensors[output["name"]] = Tensor(output["datatype"], tuple(output["shape"]), content[at : at + size])
        at += size
    return header, tensors

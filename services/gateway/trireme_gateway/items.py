"""Items as callers send them, as the payloads that preprocess takes (see preprocess.proto)."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from functools import lru_cache

from trireme_common.errors import Code, TriremeError
from trireme_common.tensors import encode_bytes
from trireme_protos.trireme.v1 import envelope_pb2

TEXT_TASKS = ("text-classification", "text-embedding")
IMAGE_TASKS = ("image-classification",)
TABULAR_TASKS = ("tabular",)
_LENGTH_PREFIX = 4

# Tags of the fields: their numbers in envelope.proto and the wire type of what has a length.
_TENSORS = bytes((1 << 3 | 2,))
_DATA = bytes((4 << 3 | 2,))

# Name and protocol datatype of the one input of a pipeline, by task.
INPUT_OF_TASK = {
    "text-classification": ("text", "BYTES"),
    "text-embedding": ("text", "BYTES"),
    "image-classification": ("image", "BYTES"),
    "tabular": ("features", "FP64"),
}


def encode_text(text: str) -> bytes:
    """Payload of one text. Raises TriremeError(INVALID_ARGUMENT) for lone surrogates."""
    try:
        data = text.encode()
    except UnicodeEncodeError as error:
        raise TriremeError(Code.INVALID_ARGUMENT, "a text is not valid Unicode (lone surrogate)") from error
    return _payload("text", "BYTES", (1,), encode_bytes((data,)))


def encode_image(data: bytes) -> bytes:
    """Payload of one encoded picture (PNG, JPEG, ...)."""
    return _payload("image", "BYTES", (1,), encode_bytes((data,)))


def encode_numbers(numbers: Sequence[float]) -> bytes:
    """Payload of one row of numbers."""
    return _payload("features", "FP64", (1, len(numbers)), struct.pack(f"<{len(numbers)}d", *numbers))


def encode_tokens(ids: Sequence[int]) -> bytes:
    """Payload of one text's token ids. Raises TriremeError(INVALID_ARGUMENT) for one beyond 64 bits."""
    try:
        data = struct.pack(f"<{len(ids)}q", *ids)
    except struct.error as error:
        raise TriremeError(Code.INVALID_ARGUMENT, "a token id is too large for a 64-bit integer") from error
    return _payload("tokens", "INT64", (len(ids),), data)


def item_bytes(payload: bytes) -> int:
    """Bytes of the item itself in a payload of this module: of the text, the picture, or the numbers."""
    tensor = envelope_pb2.Tensors.FromString(payload).tensors[0]
    return len(tensor.data) - (_LENGTH_PREFIX if tensor.datatype == "BYTES" else 0)


@lru_cache(1024)  # the shape of a row of numbers is the caller's
def _head(name: str, datatype: str, shape: tuple[int, ...]) -> bytes:
    """What of a serialised Tensor stands before its data."""
    return envelope_pb2.Tensor(name=name, datatype=datatype, shape=shape).SerializeToString()


def _payload(name: str, datatype: str, shape: tuple[int, ...], data: bytes) -> bytes:
    """A serialised `Tensors` of one tensor: its data is written behind a head that is made once."""
    tensor = _head(name, datatype, shape) + _field(_DATA, data)
    return _field(_TENSORS, tensor)


def _field(tag: bytes, data: bytes) -> bytes:
    """A length-delimited field of a protobuf message; a default value, no bytes, is left out."""
    size = len(data)
    if not size:
        return b""
    length = bytearray()
    while size > 127:
        length.append(size & 127 | 128)
        size >>= 7
    length.append(size)
    return tag + length + data

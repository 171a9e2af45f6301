"""Items as callers send them, as the payloads that preprocess takes (see preprocess.proto)."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from trireme_common.errors import Code, TriremeError
from trireme_common.tensors import tensor_head
from trireme_protos.trireme.v1 import envelope_pb2

TEXT_TASKS = ("text-classification", "text-embedding")
IMAGE_TASKS = ("image-classification",)
TABULAR_TASKS = ("tabular",)
_LENGTH_PREFIX = 4

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
    return _element("text", data)


def encode_image(data: bytes) -> bytes:
    """Payload of one encoded picture (PNG, JPEG, ...)."""
    return _element("image", data)


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


def _element(name: str, data: bytes) -> bytes:
    """Payload of one element of BYTES, which stands behind its length."""
    return _payload(name, "BYTES", (1,), struct.pack("<I", len(data)), data)


def _payload(name: str, datatype: str, shape: tuple[int, ...], *data: bytes) -> bytes:
    """A serialised `Tensors` of one tensor, whose data is all of `data`."""
    return b"".join((tensor_head(name, datatype, shape, sum(map(len, data))), *data))

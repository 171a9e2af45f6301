"""Items to send where the person names none: distinct, drawn from a fixed seed, by the model's task."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

TEXTS, PICTURES, ROWS, TENSORS = 1000, 64, 1000, 64
"""How many distinct ones; a result cache that is on answers what comes again."""
_SEED = 11
_SIDE = 96
_FREE_DIMENSION = 8
_SUBJECTS = ("酒店", "房间", "服务", "早餐", "电影", "手机", "味道", "room", "service", "breakfast", "film")
_VERDICTS = ("非常好", "太差了", "一般般", "值得推荐", "不会再来", "was great", "is too slow", "was fine")


def texts(number: int = TEXTS) -> list[str]:
    """Short reviews, Chinese and English, each with a number that makes it distinct."""
    random = np.random.Generator(np.random.PCG64(_SEED))
    chosen = zip(random.choice(_SUBJECTS, number), random.choice(_VERDICTS, number), strict=True)
    return [f"{subject} {verdict} {count}" for count, (subject, verdict) in enumerate(chosen)]


def pictures(number: int = PICTURES) -> list[bytes]:
    """Grey PNG files of 96 x 96 pixels: a bright stroke or two on black."""
    random = np.random.Generator(np.random.PCG64(_SEED))
    return [png(_strokes(random)) for _ in range(number)]


def rows(width: int, number: int = ROWS) -> list[tuple[float, ...]]:
    """So many numbers each, normally distributed around 0."""
    random = np.random.Generator(np.random.PCG64(_SEED))
    return [tuple(map(float, row.round(4))) for row in random.standard_normal((number, width))]


def tensor(datatype: str, shape: Sequence[int], number: int) -> npt.NDArray[Any]:
    """One tensor of a v2 model with batch 1; a dimension that is free is 8. Sample `number` differs from
    others. BYTES are objects, short texts. Raises ValueError for a datatype that has no such form."""
    random = np.random.Generator(np.random.PCG64([_SEED, number]))
    free = (1, *[_FREE_DIMENSION] * len(shape))
    sizes = [size if size >= 0 else free[at] for at, size in enumerate(shape)]
    if datatype == "BYTES":
        return np.full(sizes, f"text {number}".encode(), object)
    if datatype == "BOOL":
        return random.integers(0, 2, sizes).astype(np.bool_)
    kind = _NUMPY.get(datatype)
    if kind is None:
        raise ValueError(f"no samples can be made for {datatype} tensors")
    if np.issubdtype(kind, np.floating):
        return random.standard_normal(sizes).astype(kind)
    return random.integers(0, 256 if kind is np.uint8 else 100, sizes).astype(kind)


_NUMPY: dict[str, type[np.generic]] = {
    "INT8": np.int8,
    "INT16": np.int16,
    "INT32": np.int32,
    "INT64": np.int64,
    "UINT8": np.uint8,
    "UINT16": np.uint16,
    "UINT32": np.uint32,
    "UINT64": np.uint64,
    "FP16": np.float16,
    "FP32": np.float32,
    "FP64": np.float64,
}


def _strokes(random: np.random.Generator) -> npt.NDArray[np.uint8]:
    pixels = np.zeros((_SIDE, _SIDE), np.uint8)
    for _ in range(int(random.integers(1, 3))):
        (top, left), (height, width) = random.integers(8, 40, 2), random.integers(8, 44, 2)
        pixels[top : top + height, left : left + width] = random.integers(128, 256)
    return pixels


def png(pixels: npt.NDArray[np.uint8]) -> bytes:
    """A grey PNG file (RFC 2083) of pixels [height, width]."""
    height, width = pixels.shape
    lines = b"".join(b"\0" + line.tobytes() for line in pixels)
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(lines)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name, data) for name, data in chunks)


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

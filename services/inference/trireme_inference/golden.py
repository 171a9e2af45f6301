"""golden.json: one request, and the answer that the trained framework model gave to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from trireme_common.errors import SpecError, TriremeError
from trireme_common.tensors import Array, Tensor, dtype_of, encode_bytes

_MAX_BYTES = 64 * 1024 * 1024
_RTOL = 1e-5
_ATOL = 1e-6


@dataclass(frozen=True)
class Golden:
    """Request and answer as tensors. Floats agree where |got - want| <= atol + rtol * |want|."""

    path: Path
    request: tuple[Tensor, ...]
    response: tuple[Tensor, ...]
    rtol: float
    atol: float

    def compare(self, outputs: Mapping[str, Array]) -> None:
        """Raises SpecError with the biggest difference where `outputs` disagree with the answer."""
        for want in self.response:
            got = outputs.get(want.name)
            if got is None:
                raise SpecError(
                    f"{self.path}: the model has no output '{want.name}'; it has {', '.join(outputs)}"
                )
            problem = _difference(want.array(), got, self.rtol, self.atol)
            if problem:
                raise SpecError(f"{self.path}: output '{want.name}' is not the golden one: {problem}")


def read_golden(path: Path) -> Golden:
    """Reads one file. `tolerance` is a number, the absolute one, or a map of `rtol` and `atol`; by
    default rtol 1e-5 and atol 1e-6. Raises SpecError."""
    if path.stat().st_size > _MAX_BYTES:
        raise SpecError(f"{path}: larger than {_MAX_BYTES} bytes")
    try:
        document = orjson.loads(path.read_bytes())
        request = tuple(_tensor(entry) for entry in document["request"]["inputs"])
        response = tuple(_tensor(entry) for entry in document["response"]["outputs"])
        rtol, atol = _tolerance(document.get("tolerance"))
        for tensor in (*request, *response):
            tensor.array()
    except TriremeError as error:
        raise SpecError(f"{path}: {error.detail}") from error
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise SpecError(
            f"{path}: not a golden request and response: {type(error).__name__} {error}"
        ) from error
    return Golden(path, request, response, rtol, atol)


def _tolerance(value: Any) -> tuple[float, float]:
    if value is None:
        return _RTOL, _ATOL
    if isinstance(value, dict):
        return float(value.get("rtol", _RTOL)), float(value.get("atol", _ATOL))
    return 0.0, float(value)


def _tensor(entry: Mapping[str, Any]) -> Tensor:
    name, datatype, shape = entry["name"], entry["datatype"], tuple(int(size) for size in entry["shape"])
    if datatype == "BYTES":
        return Tensor(
            name, datatype, shape, encode_bytes(str(text).encode() for text in _flat(entry["data"]))
        )
    dtype = dtype_of(datatype)
    if dtype is None:
        raise ValueError(f"tensor '{name}': unknown datatype {datatype!r}")
    return Tensor(name, datatype, shape, np.asarray(list(_flat(entry["data"])), dtype=dtype).tobytes())


def _flat(data: Sequence[Any]) -> list[Any]:
    flat: list[Any] = []
    for element in data:
        if isinstance(element, list):
            flat.extend(_flat(element))
        else:
            flat.append(element)
    return flat


def _difference(want: Array, got: Array, rtol: float, atol: float) -> str:
    if want.shape != got.shape:
        return f"shape {list(got.shape)}, golden {list(want.shape)}"
    if want.dtype != got.dtype:
        return f"dtype {got.dtype}, golden {want.dtype}"
    if want.dtype.kind != "f":
        wrong = np.flatnonzero((want != got).ravel())
        return f"{len(wrong)} of {want.size} elements differ, the first at {wrong[0]}" if len(wrong) else ""
    wide, golden = got.astype(np.float64).ravel(), want.astype(np.float64).ravel()
    with np.errstate(invalid="ignore"):
        gap = np.abs(wide - golden)
        fine = (gap <= atol + rtol * np.abs(golden)) | (wide == golden) | (np.isnan(wide) & np.isnan(golden))
    if fine.all():
        return ""
    worst = int(np.where(fine, -1.0, np.nan_to_num(gap, nan=np.inf)).argmax())
    return (
        f"the biggest difference is {gap[worst]:.3g} (got {wide[worst]:.6g}, golden {golden[worst]:.6g}, "
        f"element {worst}), allowed atol {atol:g} and rtol {rtol:g}"
    )

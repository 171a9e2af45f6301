"""Runs of ONNX models with bfloat16 tensors, for which ONNX Runtime's Python has no numpy type.

Their arrays are the raw 16 bits, as everywhere on the platform, and pass as OrtValues of the right type.
"""

from __future__ import annotations

import ctypes
import math
import time
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import onnxruntime

from trireme_common.tensors import Array
from trireme_inference import run_clock

_BFLOAT16 = 16  # onnx.TensorProto.BFLOAT16


def run_with_bfloat16(
    session: onnxruntime.InferenceSession,
    feed: Mapping[str, Array],
    fetch: Collection[str],
    bfloat16: Collection[str],
) -> list[Array]:
    """The outputs `fetch`; `bfloat16` names the tensors whose uint16 arrays are bfloat16."""
    borrowed: dict[str, Array] = {}
    binding = session.io_binding()
    for name, array in feed.items():
        if name in bfloat16:
            # The value borrows the memory of its array, and the binding keeps neither.
            array = borrowed[name] = np.require(array, requirements=("C", "W"))
            value = onnxruntime.OrtValue.ortvalue_from_numpy_with_onnx_type(array, _BFLOAT16)
            binding.bind_ortvalue_input(name, value)
        else:
            binding.bind_cpu_input(name, array)
    for name in fetch:
        binding.bind_output(name, "cpu")
    began = time.monotonic()
    session.run_with_iobinding(binding)
    run_clock.tell(began, time.monotonic())
    return [
        _bits(value) if name in bfloat16 else value.numpy()
        for name, value in zip(fetch, binding.get_outputs(), strict=True)
    ]


def _bits(value: Any) -> Array:
    """A copy: the memory goes with the value."""
    shape = tuple(value.shape())
    count = math.prod(shape)
    data = ctypes.string_at(value.data_ptr(), count * 2) if count else b""
    return np.frombuffer(data, dtype=np.dtype("<u2")).reshape(shape)

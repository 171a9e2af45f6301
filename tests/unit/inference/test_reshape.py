"""Tensors that callers see in another shape than the model file does."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from trireme_common.errors import SpecError
from trireme_common.stage_state import TensorInfo
from trireme_common.tensors import Array
from trireme_inference.backend import RunError
from trireme_inference.reshape import Reshaped


class Doubler:
    """y = 2x; x and y FP32 [N, 2, 2], z = x."""

    platform, device = "fake", "cpu"
    inputs = (TensorInfo("x", "FP32", (-1, 2, 2)),)
    outputs = (TensorInfo("y", "FP32", (-1, 2, 2)), TensorInfo("z", "FP32", (-1, 2, 2)))
    closed = False

    def run(self, feed: Mapping[str, Array], fetch: tuple[str, ...]) -> list[Array]:
        assert feed["x"].shape[1:] == (2, 2)
        return [feed["x"] * 2 if name == "y" else feed["x"] for name in fetch]

    def close(self) -> None:
        self.closed = True


def test_arrays_are_reshaped_both_ways_and_what_is_not_named_stays() -> None:
    inner = Doubler()
    backend = Reshaped(inner, {"x": ((-1, 4), (-1, 2, 2))}, {"y": ((-1, 4, 1), (-1, 2, 2))})
    assert [info.shape for info in (*backend.inputs, *backend.outputs)] == [(-1, 4), (-1, 4, 1), (-1, 2, 2)]
    z, y = backend.run({"x": np.arange(12, dtype=np.float32).reshape(3, 4)}, ("z", "y"))
    assert (z.shape, y.shape) == ((3, 2, 2), (3, 4, 1))
    assert y.ravel().tolist() == (np.arange(12) * 2).tolist()
    backend.close()
    assert inner.closed


def test_a_free_size_beside_the_batch() -> None:
    class Free(Doubler):
        inputs = (TensorInfo("x", "FP32", (-1, -1, 2)),)

        def run(self, feed: Mapping[str, Array], fetch: tuple[str, ...]) -> list[Array]:
            return [feed["x"] for _ in fetch]

    backend = Reshaped(Free(), {"x": ((-1, 2, -1), (-1, -1, 2))}, {})
    (y,) = backend.run({"x": np.zeros((2, 2, 3), np.float32)}, ("y",))
    assert y.shape == (2, 3, 2)
    with pytest.raises(RunError, match="cannot be reshaped"):
        backend.run({"x": np.zeros((2, 1, 3), np.float32)}, ("y",))


def test_the_model_file_must_have_the_shape() -> None:
    with pytest.raises(SpecError, match=r"input 'x': reshaped to \[-1, 3\], the model file has \[-1, 2, 2\]"):
        Reshaped(Doubler(), {"x": ((-1, 4), (-1, 3))}, {})

"""standardize, clip and to_tensor, and the chain they form."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trireme_common.errors import Code, ItemError, SpecError
from trireme_common.steps import Assets, Chain
from trireme_preprocess.steps import VOCABULARY

ASSETS = Assets(Path("."))


def step(kind: str, name: str, **parameters: Any) -> Chain:
    return VOCABULARY.build([(name, parameters)], ASSETS, kind)


class TestStandardize:
    def test_numbers(self) -> None:
        result = step("numbers", "standardize", mean=[1, 2.0], std=[2.0, 4])(np.array([3.0, 0.0]))
        assert result.tolist() == [1.0, -0.5]
        assert result.dtype == np.float64

    def test_image_by_channel(self) -> None:
        image = np.full((2, 3, 3), 255, np.uint8)
        result = step("image", "standardize", mean=[0.5, 0.0, 1.0], std=[0.5, 2.0, 1.0], scale=1 / 255)(image)
        assert result.dtype == np.float32
        np.testing.assert_allclose(result[0, 0], [1.0, 0.5, 0.0], atol=1e-6)

    def test_one_value_serves_all(self) -> None:
        assert step("numbers", "standardize", mean=[1.0], std=[1.0])(np.array([1.0, 2.0])).tolist() == [0, 1]
        assert step("image", "standardize", mean=[1.0], std=[1.0])(np.ones((2, 2), np.uint8)).sum() == 0

    @pytest.mark.parametrize(("kind", "value"), [("numbers", np.zeros(3)), ("image", np.zeros((2, 2, 3)))])
    def test_wrong_count(self, kind: str, value: np.ndarray) -> None:
        with pytest.raises(ItemError) as caught:
            step(kind, "standardize", mean=[0.0, 0.0], std=[1.0, 1.0])(value)
        assert caught.value.code is Code.WRONG_SHAPE

    def test_overflow_ends_as_a_non_finite_number(self) -> None:
        specs: list[tuple[str, dict[str, Any]]] = [("standardize", {"mean": [0.0], "std": [1e-9]})]
        chain = VOCABULARY.build([*specs, ("to_tensor", {})], ASSETS, "numbers")
        with pytest.raises(ItemError) as caught:
            chain(np.array([1e305]))
        assert caught.value.code is Code.NON_FINITE_NUMBER

    @pytest.mark.parametrize(
        "parameters",
        [
            {"mean": [0.0], "std": [1.0, 1.0]},
            {"mean": [0.0], "std": [0.0]},
            {"mean": [0.0], "std": [-1.0]},
            {"mean": [float("nan")], "std": [1.0]},
            {"mean": [], "std": []},
            {"mean": ["1"], "std": [1.0]},
            {"std": [1.0]},
        ],
    )
    def test_unusable_parameters(self, parameters: dict[str, Any]) -> None:
        with pytest.raises(SpecError, match="standardize"):
            step("numbers", "standardize", **parameters)


def test_clip() -> None:
    assert step("numbers", "clip", minimum=-1, maximum=1)(np.array([-5.0, 0.5, 9.0])).tolist() == [-1, 0.5, 1]
    clipped = step("image", "clip", minimum=10, maximum=20)(np.array([[0, 15, 255]], np.uint8))
    assert clipped.tolist() == [[10, 15, 20]]
    assert clipped.dtype == np.uint8
    with pytest.raises(SpecError, match="minimum must be below maximum"):
        step("numbers", "clip", minimum=1, maximum=1)


class TestToTensor:
    @pytest.mark.parametrize(
        ("layout", "grey", "colour"), [("NCHW", (1, 2, 4), (3, 2, 4)), ("NHWC", (2, 4, 1), (2, 4, 3))]
    )
    def test_layouts(self, layout: str, grey: tuple[int, ...], colour: tuple[int, ...]) -> None:
        convert = step("image", "to_tensor", layout=layout, datatype="UINT8", tensor="x")
        assert convert(np.zeros((2, 4), np.uint8))["x"].shape == grey
        tensor = convert(np.zeros((2, 4, 3), np.uint8))["x"]
        assert tensor.shape == colour
        assert tensor.dtype == np.uint8
        assert tensor.flags.c_contiguous

    def test_plain_grey_layout(self) -> None:
        convert = step("image", "to_tensor", layout="NHW")
        assert convert(np.zeros((2, 4), np.uint8))["input"].shape == (2, 4)
        with pytest.raises(ItemError) as caught:
            convert(np.zeros((2, 4, 3), np.uint8))
        assert caught.value.code is Code.WRONG_SHAPE

    def test_scale(self) -> None:
        tensor = step("image", "to_tensor", scale=1 / 255)(np.full((1, 1), 255, np.uint8))["input"]
        assert tensor.dtype == np.float32
        np.testing.assert_allclose(tensor, 1.0)

    def test_float_image_as_uint8(self) -> None:
        image = np.array([[-3.0, 99.6, 300.0, np.nan]], np.float32)
        tensor = step("image", "to_tensor", datatype="UINT8", layout="NHW")(image)["input"]
        assert tensor.tolist() == [[0, 100, 255, 0]]

    def test_numbers(self) -> None:
        tensor = step("numbers", "to_tensor")(np.array([1.5, -2.0]))["input"]
        assert tensor.dtype == np.float32
        assert tensor.tolist() == [1.5, -2.0]

    @pytest.mark.parametrize("number", [1e39, -1e300, np.inf, np.nan])
    def test_numbers_beyond_32_bits(self, number: float) -> None:
        with pytest.raises(ItemError) as caught:
            step("numbers", "to_tensor")(np.array([0.0, number]))
        assert caught.value.code is Code.NON_FINITE_NUMBER

    @given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=20))
    def test_any_numbers(self, numbers: list[float]) -> None:
        with np.errstate(over="ignore"):
            fits = np.isfinite(np.array(numbers).astype(np.float32)).all()
        if fits:
            assert len(step("numbers", "to_tensor")(np.array(numbers))["input"]) == len(numbers)
        else:
            with pytest.raises(ItemError):
                step("numbers", "to_tensor")(np.array(numbers))


class TestChains:
    def test_kinds_must_fit(self) -> None:
        with pytest.raises(SpecError, match=r"preprocess step 2 \(resize\) takes image"):
            VOCABULARY.build([("normalize_text", {}), ("resize", {"height": 1, "width": 1})], ASSETS, "text")

    def test_unknown_step_and_parameter(self) -> None:
        with pytest.raises(SpecError, match="unknown preprocess step 'blur'"):
            VOCABULARY.build([("blur", {})], ASSETS, "image")
        with pytest.raises(SpecError, match="resize: size: Extra inputs"):
            step("image", "resize", height=1, width=1, size=3)

    def test_a_model_gets_tensors(self) -> None:
        specs: list[tuple[str, dict[str, Any]]] = [
            ("standardize", {"mean": [1.0], "std": [2.0]}),
            ("to_tensor", {"tensor": "x"}),
        ]
        chain = VOCABULARY.build(specs, ASSETS, "numbers")
        assert chain.gives == "tensors"
        assert chain(np.array([3.0]))["x"].tolist() == [1.0]

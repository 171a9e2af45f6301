"""normalize, scale and round."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trireme_common.errors import Code, ItemError, SpecError
from trireme_common.steps import Assets
from trireme_postprocess.steps import build_chain


def apply(name: str, vector: list[float], **parameters: Any) -> np.ndarray:
    result: np.ndarray = build_chain("tabular", [(name, parameters)], Assets(Path(".")))(np.array(vector))
    return result


def test_normalize() -> None:
    assert apply("normalize", [3.0, 4.0]).tolist() == pytest.approx([0.6, 0.8])
    assert apply("normalize", [0.0, 0.0]).tolist() == [0.0, 0.0]
    assert apply("normalize", [1e-300, 0.0]).tolist() == [1.0, 0.0]
    assert apply("normalize", [1e300, 1e300]).tolist() == pytest.approx([0.5**0.5] * 2)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=50))
def test_normalize_gives_length_one(vector: list[float]) -> None:
    length = float(np.linalg.norm(apply("normalize", vector)))
    assert length == pytest.approx(1.0) if any(vector) else length == 0.0


def test_scale_undoes_standardisation() -> None:
    assert apply("scale", [0.0, 2.0], mean=[1.0, 1.0], std=[2.0, 3.0]).tolist() == [1.0, 7.0]
    assert apply("scale", [0.0, 2.0], mean=[1.0], std=[2.0]).tolist() == [1.0, 5.0]


def test_scale_checks_lengths() -> None:
    with pytest.raises(SpecError, match="mean has 1 values, std has 2"):
        apply("scale", [0.0], mean=[1.0], std=[2.0, 3.0])
    with pytest.raises(ItemError) as caught:
        apply("scale", [0.0], mean=[1.0, 1.0], std=[2.0, 2.0])
    assert caught.value.code is Code.MODEL_FAILED


def test_round() -> None:
    assert apply("round", [1.23456, -2.0, 1e300], digits=2).tolist() == [1.23, -2.0, 1e300]
    assert apply("round", [152.0001]).tolist() == [152.0001]


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=1, max_size=20), st.integers(0, 15))
def test_round_survives_any_number(vector: list[float], digits: int) -> None:
    assert len(apply("round", vector, digits=digits)) == len(vector)

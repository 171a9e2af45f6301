"""Inputs as people declare them, and outputs as runs show them."""

import numpy as np
import pytest

from trireme_lab.conversion.declaration import Declared, check_sample, of_sample, outputs_of, parse
from trireme_lab.failure import LabUsage


@pytest.mark.parametrize(
    ("text", "declared"),
    [
        ("image:FP32:[-1,3,-1,-1]", Declared("image", "FP32", ("batch", 3, "axis2", "axis3"))),
        ("ids:INT64:[batch, tokens]:0..99", Declared("ids", "INT64", ("batch", "tokens"), 0, 99)),
        ("a.b/c:UINT8:[2]", Declared("a.b/c", "UINT8", (2,), 0, 255)),
        ("t:INT32:[-1]:-5..-1", Declared("t", "INT32", ("batch",), -5, -1)),
    ],
)
def test_parse(text: str, declared: Declared) -> None:
    assert parse(text) == declared


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("image", "is not of the form"),
        ("image:FP32", "is not of the form"),
        ("image:FLOAT:[1]", "unknown datatype 'FLOAT'"),
        ("image:FP32:[0]", "'0' is neither"),
        ("image:FP32:[-2]", "'-2' is neither"),
        ("ids:INT64:[1]:9..0", "is empty"),
    ],
)
def test_what_is_no_declaration(text: str, words: str) -> None:
    with pytest.raises(LabUsage, match=words):
        parse(text)


def test_random_values_fill_the_free_axes() -> None:
    generator = np.random.default_rng(0)

    ids = parse("ids:INT32:[-1,tokens]:3..4").random({"batch": 2, "tokens": 50}, generator)

    assert (ids.shape, ids.dtype) == ((2, 50), np.int32)
    assert set(ids.ravel().tolist()) == {3, 4}
    assert parse("x:FP16:[-1]").random({"batch": 3}, generator).dtype == np.float16
    assert parse("m:BOOL:[-1]").random({"batch": 3}, generator).dtype == np.bool_


def test_a_sample_frees_the_first_axis() -> None:
    assert of_sample({"x": np.zeros((3, 4), np.float32)}) == (Declared("x", "FP32", ("batch", 4)),)


@pytest.mark.parametrize(
    ("feeds", "words"),
    [
        ({"y": np.zeros((1, 4), np.float32)}, "the sample holds y; the model takes x"),
        ({"x": np.zeros((1, 5), np.float32)}, r"FP32 \[1, 5\]; declared is FP32 \[-1, 4\]"),
        ({"x": np.zeros((1, 4), np.float64)}, r"FP64 \[1, 4\]"),
        ({"x": np.zeros(4, np.float32)}, r"FP32 \[4\]"),
    ],
)
def test_a_sample_that_does_not_fit(feeds: dict[str, np.ndarray], words: str) -> None:
    with pytest.raises(LabUsage, match=words):
        check_sample((parse("x:FP32:[-1,4]"),), feeds)


def test_outputs_take_the_names_of_the_axes_that_they_follow() -> None:
    def run(batch: int, tokens: int) -> tuple[dict[str, int], dict[str, np.ndarray]]:
        hidden, twice = np.zeros((batch, tokens, 8), np.float32), np.zeros((batch, 2 * tokens), np.int64)
        return {"batch": batch, "tokens": tokens}, {"hidden": hidden, "twice": twice}

    assert outputs_of([run(2, 8), run(1, 13), run(5, 21)]) == (
        Declared("hidden", "FP32", ("batch", "tokens", 8)),
        Declared("twice", "INT64", ("batch", "twice_1")),
    )

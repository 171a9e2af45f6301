"""Numbers on command lines are refused in words."""

import argparse
from collections.abc import Callable

import pytest

from trireme_lab.arguments import tolerance, whole_number


def test_numbers() -> None:
    assert [whole_number(0)("0"), whole_number(1)("12")] == [0, 12]
    assert [tolerance("0"), tolerance("1e-3")] == [0.0, 0.001]


@pytest.mark.parametrize(
    ("read", "text", "words"),
    [
        (whole_number(0), "x", "'x' is no whole number from 0 on"),
        (whole_number(1), "0", "'0' is no whole number from 1 on"),
        (whole_number(1), "1.5", "'1.5' is no whole number from 1 on"),
        (tolerance, "abc", "'abc' is no number from 0 on"),
        (tolerance, "-1", "'-1' is no number from 0 on"),
        (tolerance, "nan", "'nan' is no number from 0 on"),
        (tolerance, "inf", "'inf' is no number from 0 on"),
    ],
)
def test_what_is_none(read: Callable[[str], object], text: str, words: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=words):
        read(text)

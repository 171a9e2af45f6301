from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trireme_gateway.surrogates import Surrogates


def first_lone(text: bytes, size: int = 1000) -> int | None:
    """Where the text cannot go on, read in parts of `size`: never before the part that was asked about."""
    surrogates = Surrogates()
    for start in range(0, len(text), size):
        if (found := surrogates.first_lone(text[start : start + size])) is not None:
            return start + found
    return None


@given(st.text(st.characters(exclude_categories=["Cs"])), st.integers(1, 9))
def test_escapes_of_any_text_are_right_in_any_parts(text: str, size: int) -> None:
    assert first_lone(json.dumps(text).encode(), size) is None


@pytest.mark.parametrize(
    ("text", "where"),
    [
        (rb"ab\ud800\"", 2),
        (rb"\udc00", 0),
        (rb"\\\uD83D \uDE00", 2),
        (rb"\ud83d\ude00\ude00", 12),
        (rb"\ud83d\u0041", 0),
        (rb"\u4e00\n\udfff", 8),
    ],
)
def test_the_first_that_stands_alone(text: bytes, where: int) -> None:
    assert first_lone(text) == where


@pytest.mark.parametrize("text", [rb"\ud800\"", rb"\udc00", rb"\ud83d\u0041", rb"\ud83dx"])
@pytest.mark.parametrize("size", [1, 2, 5])
def test_it_is_found_before_the_string_can_end(text: bytes, size: int) -> None:
    found = first_lone(b"ab" + text + b'"', size)
    assert found is not None
    assert b'"' not in (b"ab" + text)[:found]


def test_an_escaped_backslash_begins_no_escape() -> None:
    assert first_lone(rb"\\ud800 \\\\udc00", 1) is None

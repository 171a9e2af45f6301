from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.outcomes import result_or_refusal
from trireme_common.errors import Code, TriremeError
from trireme_gateway.json_body import parse_json

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=10)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=15,
)


def refusal(body: bytes) -> str:
    with pytest.raises(TriremeError) as refused:
        parse_json(body)
    assert refused.value.code is Code.INVALID_ARGUMENT
    return refused.value.detail


@given(values, st.booleans(), st.sampled_from([None, 1]))
def test_every_value_survives(value: Any, ascii_only: bool, indent: int | None) -> None:
    assert parse_json(json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode()) == value


@given(st.binary(max_size=40))
def test_any_bytes_are_parsed_or_refused(body: bytes) -> None:
    found = result_or_refusal(lambda: parse_json(body))
    if isinstance(found, TriremeError):
        assert found.code is Code.INVALID_ARGUMENT
    else:
        assert found == json.loads(body)


@given(texts, st.sampled_from(["", " ", "\n\t"]))
def test_a_key_that_stands_twice_is_refused_however_it_is_written(key: str, space: str) -> None:
    plain, escaped = (
        json.dumps(key, ensure_ascii=False),
        "".join(f"\\u{ord(c):04x}" for c in key if ord(c) < 65536),
    )
    assert "twice" in refusal(f"{{{plain}{space}:1,{plain}:2}}".encode())
    if all(ord(c) < 65536 for c in key):
        assert "twice" in refusal(f'[{{{plain}:1,"{escaped}"{space}:2}}]'.encode())


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"NaN",
        b'{"data":[NaN]}',
        b"[Infinity]",
        b"[-Infinity]",
        b"[1e400]",
        b"{'a':1}",
        b'{"a":1,}',
        b"[1] 2",
        b'"\xff"',
        b'"\\ud800"',
        b'\xef\xbb\xbf"a"',
        b'"a\nb"',
        b"[" * 100_000,
        b"01",
        b'{"a":{"b":1,"b":2}}',
    ],
)
def test_what_the_standard_forbids_is_refused(body: bytes) -> None:
    assert refusal(body).startswith("the body is not valid JSON")


def test_the_same_key_in_different_objects_is_fine() -> None:
    assert parse_json(b'[{"b64":"x"},{"b64":"y"},{"a":{"a":1}}]') == [
        {"b64": "x"},
        {"b64": "y"},
        {"a": {"a": 1}},
    ]


def test_strings_that_look_like_keys_are_not_keys() -> None:
    assert parse_json(b'["a:", "a:", "\\"x\\":", "\\"x\\":"]') == ["a:", "a:", '"x":', '"x":']


def test_numbers_beyond_64_bits_become_floats() -> None:
    (number,) = parse_json(b"[" + b"9" * 300 + b"]")
    assert math.isfinite(number)
    refusal(b"[" + b"9" * 400 + b"]")


def test_the_reason_does_not_quote_the_body() -> None:
    assert "canary" not in refusal(b'{"canary": canary}')

"""Content codings."""

from __future__ import annotations

import contextlib
import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trireme_common.errors import Code, TriremeError
from trireme_gateway.v2.compression import choose_coding, compress, decompress


def _bare_deflate(data: bytes) -> bytes:
    return zlib.compress(data, wbits=-15)


@given(st.binary())
def test_every_form_of_a_body_is_read(data: bytes) -> None:
    assert decompress(gzip.compress(data), "gzip", 1000) == data
    assert decompress(zlib.compress(data), "deflate", 1000) == data
    assert decompress(_bare_deflate(data), "deflate", 1000) == data
    assert decompress(data, "", 1000) == decompress(data, "Identity", 1000) == data
    for coding in ("gzip", "deflate"):
        assert decompress(compress(data, coding), coding, 1000) == data


def test_the_unpacked_size_is_bounded() -> None:
    assert len(decompress(gzip.compress(bytes(1000)), "gzip", 1000)) == 1000
    with pytest.raises(TriremeError) as caught:
        decompress(gzip.compress(bytes(50_000_000)), "gzip", 1000)
    assert caught.value.code is Code.PAYLOAD_TOO_LARGE


@pytest.mark.parametrize("body", [b"", b"nonsense", gzip.compress(b"a" * 100)[:-3], gzip.compress(b"a") * 2])
def test_broken_streams_are_refused(body: bytes) -> None:
    with pytest.raises(TriremeError) as caught:
        decompress(body, "gzip", 1000)
    assert caught.value.code is Code.INVALID_ARGUMENT


@given(st.binary(max_size=100), st.sampled_from(("gzip", "deflate", "br", "gzip, gzip")))
def test_no_bytes_raise_anything_but_our_error(body: bytes, coding: str) -> None:
    with contextlib.suppress(TriremeError):
        decompress(body, coding, 1000)


@pytest.mark.parametrize(
    ("accepted", "size", "coding"),
    [
        ("gzip", 5000, "gzip"),
        ("GZIP, deflate, br", 5000, "gzip"),
        ("deflate", 5000, "deflate"),
        ("gzip;q=0.1, deflate;q=0.9", 5000, "deflate"),
        ("gzip;q=0", 5000, None),
        ("gzip;q=nonsense", 5000, None),
        ("br, *", 5000, "gzip"),
        ("*", 5000, "gzip"),
        ("gzip;q=0, *;q=0.5", 5000, "deflate"),
        ("*;q=0", 5000, None),
        ("identity, gzip;q=0.5", 5000, None),
        ("identity;q=0.5, gzip", 5000, "gzip"),
        ("identity", 5000, None),
        ("br", 5000, None),
        ("", 5000, None),
        ("gzip, deflate", 100, None),
        ("gzip", 100, "gzip"),
        ("deflate", 100, "deflate"),
        ("gzip;q=0", 100, None),
    ],
)
def test_the_response_takes_the_coding_that_is_wanted(accepted: str, size: int, coding: str | None) -> None:
    assert choose_coding(accepted, size) == coding

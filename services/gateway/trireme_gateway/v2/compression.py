"""Content codings of bodies, gzip and deflate, never unpacking more than the limit."""

from __future__ import annotations

import zlib

from trireme_common.errors import Code, TriremeError

_GZIP_BITS, _ZLIB_BITS, _RAW_BITS = 31, 15, -15
_LEVEL = 1  # tensors compress badly: more effort buys time lost
_WORTHWHILE_BYTES = 1024
OFFERED = ("gzip", "deflate")


def decompress(body: bytes, coding: str, limit: int) -> bytes:
    """Body behind its `Content-Encoding`.

    Raises TriremeError: UNSUPPORTED_MEDIA_TYPE for another coding, PAYLOAD_TOO_LARGE beyond `limit`
    bytes, INVALID_ARGUMENT for data that is broken.
    """
    coding = coding.strip().lower()
    if coding in ("", "identity"):
        return body
    if coding not in ("gzip", "x-gzip", "deflate"):
        raise TriremeError(
            Code.UNSUPPORTED_MEDIA_TYPE,
            f"content-encoding '{coding[:40]}' is not supported; use gzip or deflate",
        )
    stream = zlib.decompressobj(_deflate_bits(body) if coding == "deflate" else _GZIP_BITS)
    try:
        data = stream.decompress(body, limit + 1)
    except zlib.error as error:
        raise TriremeError(Code.INVALID_ARGUMENT, f"the body is not valid {coding}") from error
    if len(data) > limit:
        raise TriremeError(
            Code.PAYLOAD_TOO_LARGE, f"the unpacked body is larger than the limit of {limit} bytes"
        )
    if not stream.eof or stream.unused_data:
        raise TriremeError(Code.INVALID_ARGUMENT, f"the body is not one whole {coding} stream")
    return data


def choose_coding(accept_encoding: str, size: int) -> str | None:
    """The coding for a response of `size` bytes; None where none is wanted or worth its time.

    Most clients name every coding they know with each request, so a list leaves small bodies as they
    are; who names one coding alone wants it.
    """
    if not accept_encoding or (size < _WORTHWHILE_BYTES and "," in accept_encoding):
        return None
    qualities = {}
    for part in accept_encoding.lower().split(","):
        coding, _, parameters = part.partition(";")
        qualities[coding.strip()] = _quality(parameters)
    anything = qualities.get("*", 0.0)
    best = max(OFFERED, key=lambda coding: qualities.get(coding, anything))  # gzip where they are equal
    quality = qualities.get(best, anything)
    return best if quality > 0 and quality >= qualities.get("identity", 0.0) else None


def compress(body: bytes, coding: str) -> bytes:
    """`coding` is one of `OFFERED`; deflate means the zlib format, as HTTP says."""
    return zlib.compress(body, _LEVEL, _GZIP_BITS if coding == "gzip" else _ZLIB_BITS)


def _deflate_bits(body: bytes) -> int:
    """HTTP's deflate is the zlib format; some clients send the bare stream."""
    has_header = len(body) >= 2 and body[0] & 0x0F == 8 and int.from_bytes(body[:2], "big") % 31 == 0
    return _ZLIB_BITS if has_header else _RAW_BITS


def _quality(parameters: str) -> float:
    name, _, value = parameters.partition("=")
    if name.strip() != "q":
        return 1.0
    try:
        return float(value)
    except ValueError:
        return 0.0

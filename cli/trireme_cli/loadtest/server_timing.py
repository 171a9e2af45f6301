"""What `server-timing` says of where a request's time went."""

from __future__ import annotations

import re

_HEADER = re.compile(rb"\r\nserver-timing: *([^\r\n]*)", re.IGNORECASE)
_PART = re.compile(rb"([a-z]+);dur=([0-9.]+)")

PARTS = ("preprocess", "queue", "inference", "postprocess", "gateway", "total")
"""`inference` is what its hop took but for the queue; `gateway` what no stage did."""


def parts_of(head: bytes) -> dict[str, float]:
    """Milliseconds of the parts of one answer, which add up to its total; empty without the header."""
    header = _HEADER.search(head)
    if header is None:
        return {}
    said = {name.decode(): float(value) for name, value in _PART.findall(header[1])}
    parts = {name: said.get(name, 0.0) for name in PARTS}
    parts["inference"] -= parts["queue"]
    parts["gateway"] = parts["total"] - sum(parts[name] for name in PARTS[:4])
    return parts

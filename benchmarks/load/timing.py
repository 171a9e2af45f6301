"""What `server-timing` says of where a request's time went."""

from __future__ import annotations

import re
from collections.abc import Sequence
from statistics import median

_HEADER = re.compile(rb"\r\nserver-timing: *([^\r\n]*)", re.IGNORECASE)
_PART = re.compile(rb"([a-z]+);dur=([0-9.]+)")

PARTS = ("preprocess", "queue", "inference", "postprocess", "gateway", "total")
"""`inference` is what its hop took but for the queue; `gateway` what no stage did."""


def median_timings(heads: Sequence[bytes]) -> dict[str, float]:
    """Medians in milliseconds of each part over the answers that say any."""
    found = [parts for parts in map(parts_of, heads) if parts]
    if not found:
        return {}
    return {name: median(parts[name] for parts in found) for name in PARTS}


def parts_of(head: bytes) -> dict[str, float]:
    """The parts of one answer, which add up to its total; empty where the header is not there."""
    header = _HEADER.search(head)
    if header is None:
        return {}
    said = {name.decode(): float(value) for name, value in _PART.findall(header[1])}
    parts = {name: said.get(name, 0.0) for name in PARTS}
    parts["inference"] -= parts["queue"]
    parts["gateway"] = parts["total"] - sum(parts[name] for name in PARTS[:4])
    return parts

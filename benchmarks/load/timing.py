"""What `server-timing` says of where a request's time went, over many answers."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from trireme_cli.loadtest.server_timing import PARTS, parts_of


def median_timings(heads: Sequence[bytes]) -> dict[str, float]:
    """Medians in milliseconds of each part over the answers that say any."""
    found = [parts for parts in map(parts_of, heads) if parts]
    if not found:
        return {}
    return {name: median(parts[name] for parts in found) for name in PARTS}

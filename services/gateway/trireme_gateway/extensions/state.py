"""What callers have set by the extensions, as one value that all workers of a gateway share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace

import orjson

from trireme_gateway.extensions.log_settings import LogSettings
from trireme_gateway.extensions.regions import Region
from trireme_gateway.extensions.trace_settings import TraceSettings


@dataclass(frozen=True, slots=True)
class ExtensionState:
    """`revision` counts the changes since the gateway started."""

    log: LogSettings = field(default_factory=LogSettings)
    trace: TraceSettings = field(default_factory=TraceSettings)
    regions: Mapping[str, Region] = field(default_factory=dict)
    revision: int = 0


def dump_state(state: ExtensionState) -> bytes:
    """What `load_state` reads again; what the gateway was started with is left out."""
    return orjson.dumps(
        {
            "revision": state.revision,
            "log": asdict(state.log),
            "trace": state.trace.given,
            "regions": [asdict(region) for region in state.regions.values()],
        }
    )


def load_state(data: bytes, started: ExtensionState) -> ExtensionState:
    """The state that `data` holds, over what the gateway was started with."""
    held = orjson.loads(data)
    regions = (Region(**region) for region in held["regions"])
    return ExtensionState(
        LogSettings(**held["log"]),
        replace(started.trace, given=held["trace"]),
        {region.name: region for region in regions},
        held["revision"],
    )

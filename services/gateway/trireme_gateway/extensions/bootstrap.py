"""Composition root of the extensions: what is made of what."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from trireme_common.logs import log_switch
from trireme_common.tracing import NO_TRACER, Tracer, open_recorder
from trireme_gateway.extensions.log_settings import LogSettings
from trireme_gateway.extensions.region_desk import RegionDesk
from trireme_gateway.extensions.sampling import Sampler
from trireme_gateway.extensions.settings_desk import SettingsDesk, apply_settings
from trireme_gateway.extensions.settings_tracer import LogRecorder, SettingsTracer
from trireme_gateway.extensions.state import ExtensionState
from trireme_gateway.extensions.store import StateStore
from trireme_gateway.extensions.trace_settings import TraceSettings
from trireme_gateway.settings import GatewaySettings


@dataclass(frozen=True, slots=True)
class Extensions:
    """What callers may set of this gateway, and the tracer that follows them."""

    desk: SettingsDesk = field(default_factory=SettingsDesk)
    regions: RegionDesk = field(default_factory=RegionDesk)
    tracer: Tracer = NO_TRACER


@asynccontextmanager
async def open_extensions(settings: GatewaySettings, directory: Path | None) -> AsyncIterator[Extensions]:
    """The extensions of one process, in step with the others that share `directory`.

    Open it before everything that makes spans, so that it closes after it.
    """
    async with open_recorder("gateway", settings) as recorder:
        trace = TraceSettings(on=recorder is not None, ratio=settings.otel_sample_ratio)
        store = StateStore(ExtensionState(LogSettings.at(settings.log_level), trace), directory)
        try:
            store.open()
            tracer = SettingsTracer(recorder or LogRecorder(), trace, Sampler(trace, store.tickets))
            apply_settings(store, log_switch(), tracer)
            yield Extensions(SettingsDesk(store), RegionDesk(store, enabled=settings.shared_memory), tracer)
        finally:
            store.close()

"""Composition of the queue of held requests."""

from __future__ import annotations

import math
from collections.abc import Callable

from trireme_gateway.holding.holding import Holding, HoldLimits
from trireme_gateway.holding.metrics import PrometheusHoldObserver
from trireme_gateway.settings import GatewaySettings


def build_holding(settings: GatewaySettings, asleep: Callable[[str], bool]) -> Holding:
    """This worker's share of what the gateway may hold. `asleep` is the catalogue's word on a model."""
    limits = HoldLimits(
        math.ceil(settings.hold_max_requests / settings.workers),
        settings.hold_max_seconds,
        settings.hold_max_bytes,
    )
    return Holding(limits, asleep, PrometheusHoldObserver())

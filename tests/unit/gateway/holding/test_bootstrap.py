"""What the settings make of holding, and of readiness."""

from __future__ import annotations

import pytest

from tests.support.catalogs import state
from tests.support.gateways import services
from trireme_gateway.catalog import POSTPROCESS, PREPROCESS, Catalog
from trireme_gateway.draining import Draining
from trireme_gateway.holding.bootstrap import build_holding
from trireme_gateway.settings import GatewaySettings


@pytest.mark.parametrize(
    ("requests", "workers", "each"), [(0, 2, 0), (1, 4, 1), (256, 1, 256), (256, 4, 64), (10, 4, 3)]
)
def test_workers_share_what_the_gateway_may_hold(requests: int, workers: int, each: int) -> None:
    settings = GatewaySettings(hold_max_requests=requests, workers=workers)
    holding = build_holding(settings, lambda _: True)
    assert holding.enabled is (each > 0)
    places = [holding.queue.enter("m", 0.0, 1.0) for _ in range(requests + 1)]
    assert sum(place is not None for place in places) == each


@pytest.mark.parametrize(("requests", "ready"), [(0, False), (1, True)])
def test_a_gateway_without_inference_is_ready_where_it_holds(requests: int, ready: bool) -> None:
    found = Catalog(inference_sleeps=requests > 0)
    found.rebuild({PREPROCESS: [state("m")], POSTPROCESS: [state("m")]})
    settings = GatewaySettings(hold_max_requests=requests)
    made = services(found=found, holding=build_holding(settings, found.asleep))
    assert made.ready is ready
    leaving = services(found=found, holding=made.holding, draining=Draining(begun=True))
    assert not leaving.ready


def test_a_gateway_that_knows_no_model_is_not_ready() -> None:
    found = Catalog(inference_sleeps=True)
    found.rebuild({PREPROCESS: [state("m")]})
    settings = GatewaySettings(hold_max_requests=1)
    assert not services(found=found, holding=build_holding(settings, found.asleep)).ready

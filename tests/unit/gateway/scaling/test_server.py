"""The metrics port of the gateway, asked over HTTP."""

from __future__ import annotations

import urllib.request
from collections.abc import Sequence

import orjson
import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge

from tests.support.stage_process import free_port
from trireme_common.errors import SettingsError
from trireme_gateway.scaling.peers import Peers
from trireme_gateway.scaling.report import decode_report
from trireme_gateway.scaling.server import ScalingAnswers, listen, serve_metrics
from trireme_gateway.settings import GatewaySettings


def registry(queued: float) -> CollectorRegistry:
    """As a gateway's: three gauges of the pool, and something else."""
    found = CollectorRegistry()
    Gauge("trireme_pool_queued_requests", "", ["pool"], registry=found).labels("gpu").set(queued)
    Gauge("trireme_pool_requests_in_flight", "", ["pool"], registry=found).labels("gpu").set(0.25)
    Gauge("trireme_pool_queue_wait_seconds", "", ["pool"], registry=found).labels("gpu").set(1.5)
    Counter("other", "Something else.", registry=found).inc()
    return found


def gateway(name: str, queued: float, peers: Sequence[str] = ()) -> str:
    """Address of one; pool `gpu` has work, pool `idle` has none that was ever written."""
    answers = ScalingAnswers(name, registry(queued), ["gpu", "idle"], Peers(peers))
    return f"127.0.0.1:{listen('127.0.0.1', 0, answers)}"


def get(address: str, path: str) -> bytes:
    with urllib.request.urlopen(f"http://{address}{path}", timeout=10) as answer:
        body: bytes = answer.read()
    return body


def test_it_answers_for_all_gateways_whoever_is_asked() -> None:
    other = gateway("two", 3)
    own = gateway("one", 2, [other, other])
    found = orjson.loads(get(own, "/scaling"))
    idle = {"queued": 0, "in_flight": 0.0, "queue_wait_seconds": 0.0}
    assert found["pools"] == {"gpu": {"queued": 5, "in_flight": 0.5, "queue_wait_seconds": 1.5}, "idle": idle}
    assert found["gateways"] == {"answered": 2, "missing": 0}


def test_a_peer_is_told_this_gateways_part_alone() -> None:
    report = decode_report(get(gateway("one", 2, [gateway("two", 3)]), "/scaling/own"))
    assert report.gateway == "one"
    assert report.pools["gpu"].queued == 2
    assert report.pools["idle"].queued == 0


def test_prometheus_is_answered_as_before() -> None:
    text = get(gateway("one", 2), "/metrics").decode()
    assert 'trireme_pool_queued_requests{pool="gpu"} 2.0' in text
    assert "other_total 1.0" in text


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"peer_addresses": "gateways"}, "PEER_ADDRESSES: 'gateways' is not host:port"),
        ({"inference_addresses": "Big=a:1"}, "INFERENCE_ADDRESSES: 'Big'"),
        ({"host": "192.0.2.1"}, "cannot serve metrics on 192.0.2.1"),
    ],
)
def test_what_cannot_be_served_is_refused_by_name(wrong: dict[str, str], told: str) -> None:
    settings = GatewaySettings(metrics_port=free_port(), **wrong)  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match=told):
        serve_metrics(settings, CollectorRegistry())


def test_without_a_port_nothing_is_served() -> None:
    assert serve_metrics(GatewaySettings(), CollectorRegistry()) is None

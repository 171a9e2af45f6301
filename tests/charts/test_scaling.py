"""What KEDA is told to look for is what a gateway with the chart's settings answers."""

from __future__ import annotations

import urllib.request
from urllib.parse import urlsplit

import orjson
from prometheus_client import CollectorRegistry

from tests.charts import helm
from tests.charts.objects import env, named, of_kind
from tests.charts.test_manifests import renderer
from trireme_gateway.scaling.peers import Peers
from trireme_gateway.scaling.pools import pool_addresses
from trireme_gateway.scaling.server import ScalingAnswers, listen

_IDLE = {"autoscaling": {"type": "keda", "idleToZero": True}}


def test_keda_finds_every_figure_that_it_asks_the_gateway_for() -> None:
    values = {"inference": {"pools": {"default": _IDLE, "gpu-1": _IDLE, "7": _IDLE}}}
    documents = helm.documents(renderer(helm.CHART)(values))
    (gateway,) = named(documents, "Deployment", "trireme-gateway")["spec"]["template"]["spec"]["containers"]
    told = env(gateway)
    pools = [pool for pool, _ in pool_addresses(str(told["TRIREME_GATEWAY_INFERENCE_ADDRESSES"]))]
    port = listen("127.0.0.1", 0, ScalingAnswers("one", CollectorRegistry(), pools, Peers(())))
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/scaling", timeout=10) as answer:
        report = orjson.loads(answer.read())
    triggers = [
        trigger["metadata"]
        for scaler in of_kind(documents, "ScaledObject")
        for trigger in scaler["spec"]["triggers"]
    ]
    assert len(triggers) == 6
    for metadata in triggers:
        asked = urlsplit(metadata["url"])
        assert (asked.path, str(asked.port)) == ("/scaling", told["TRIREME_GATEWAY_METRICS_PORT"])
        found = report
        for key in metadata["valueLocation"].split("."):
            found = found[key]
        assert found == 0

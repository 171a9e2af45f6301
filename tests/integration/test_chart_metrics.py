"""Every metric that the chart's scalers, rules and dashboards ask for is one that a running platform has."""

from __future__ import annotations

import re

import httpx
import pytest

from tests.charts import helm
from tests.charts.cases import cases, objects
from tests.charts.checks.monitoring import metric_names
from tests.support.platform import ROOT, Platform

_FAMILY = re.compile(r"^# TYPE ([a-zA-Z_:][a-zA-Z0-9_:]*) (\w+)$", re.MULTILINE)
_PARTS = {"histogram": ("_bucket", "_sum", "_count"), "summary": ("_sum", "_count")}


def _asked() -> dict[str, str]:
    """Names of metrics, and where each is asked for."""
    kube_version = helm.KUBE_VERSIONS[-1]
    return {
        name: f"{case}: {where}"
        for case in cases(helm.CHART)
        for where, name in metric_names(objects(case, kube_version))
    }


def _requests(running: Platform) -> None:
    """One of each kind, a second time from the cache, and some that fail."""
    seven = (ROOT / "models" / "digits" / "samples" / "7.png").read_bytes()
    with running.client() as client:
        for _ in range(2):
            assert client.post("/predict", json={"texts": ["这家酒店非常好"]}).status_code == 200
            assert client.post("/predict", files={"file": ("7.png", seven, "image/png")}).status_code == 200
        assert client.post("/predict", json={"texts": [" "]}).status_code == 400
        assert client.post("/predict?model=nobody", json={"texts": ["a"]}).status_code == 404


def _names(port: int) -> set[str]:
    """Names of the samples of every family that a service declares, had it samples yet or not."""
    text = httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=10).text
    return {name + part for name, kind in _FAMILY.findall(text) for part in _PARTS.get(kind, ("",))}


@pytest.fixture(scope="module")
def scraped(running: Platform, metrics_ports: dict[str, int]) -> set[str]:
    """What all four services answer after a few requests."""
    _requests(running)
    return set().union(*map(_names, metrics_ports.values()))


def test_every_metric_that_the_chart_asks_for_is_there(scraped: set[str]) -> None:
    asked = _asked()
    assert "nv_inference_queue_duration_us" in asked
    assert {name: where for name, where in asked.items() if name not in scraped} == {}


def test_a_wrong_name_would_be_found(scraped: set[str]) -> None:
    assert "trireme_inference_queue_second_sum" not in scraped
    assert "trireme_inference_queue_seconds_sum" in scraped

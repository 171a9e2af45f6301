"""Triton's statistics over REST."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import httpx
import pytest

from tests.support.gateways import client, services, standard_catalog
from trireme_gateway.services import Services
from trireme_gateway.statistics.model_statistics import (
    BATCH,
    INFERENCE,
    CacheCounts,
    Duration,
    ModelStatistics,
)
from trireme_gateway.statistics.summary import Statistics, Unanswered

RAN = [
    ModelStatistics(
        "digits", "1", 5, 7, 3, {"success": Duration(6, 60)}, {}, {2: {"compute_infer": Duration(3, 9)}}
    ),
    ModelStatistics("sentiment-zh", "1"),
]


async def ask(address: str, name: str, version: str, seconds: float) -> list[ModelStatistics]:
    if address == "silent":
        raise Unanswered(address)
    return [one for one in RAN if name in ("", one.name)]


def made(*addresses: str) -> Services:
    cached = {("sentiment-zh", "1"): CacheCounts(Duration(4, 40))}
    return replace(
        services(), statistics=Statistics(standard_catalog(), lambda: addresses, ask, lambda: cached)
    )


async def get(path: str, *addresses: str) -> httpx.Response:
    async with client(made(*addresses)) as http:
        response: httpx.Response = await http.get(path)
        return response


async def models(path: str) -> list[dict[str, Any]]:
    response = await get(path, "one", "silent")
    assert response.status_code == 200
    assert list(response.json()) == ["model_stats"]
    found: list[dict[str, Any]] = response.json()["model_stats"]
    return found


async def test_all_models() -> None:
    digits, sentiment = await models("/v2/models/stats")
    assert list(digits) == [
        "name", "version", "last_inference", "inference_count", "execution_count", "inference_stats",
        "response_stats", "batch_stats", "memory_usage",
    ]  # fmt: skip
    assert (digits["name"], digits["version"], digits["last_inference"]) == ("digits", "1", 5)
    assert (digits["inference_count"], digits["execution_count"]) == (7, 3)
    assert set(digits["inference_stats"]) == set(INFERENCE)
    assert digits["batch_stats"] == [
        {
            "batch_size": 2,
            **{key: {"count": 0, "ns": 0} for key in BATCH},
            "compute_infer": {"count": 3, "ns": 9},
        }
    ]
    assert sentiment["inference_stats"]["cache_hit"] == {"count": 4, "ns": 40}


@pytest.mark.parametrize("path", ["/v2/models/{}/stats", "/v2/models/{}/versions/1/stats"])
async def test_one_model(path: str) -> None:
    for name, hits in (("sentiment-zh", 4), ("sentiment-zh.inference", 0)):
        (found,) = await models(path.format(name))
        assert found["name"] == name
        assert found["inference_stats"]["cache_hit"]["count"] == hits


@pytest.mark.parametrize(
    ("path", "addresses", "status", "told"),
    [
        ("/v2/models/nobody/stats", ("one",), 404, "requested model 'nobody' is not available"),
        ("/v2/models/digits/versions/7/stats", ("one",), 404, "not available for model 'digits'"),
        ("/v2/models/stats", ("silent",), 503, "no inference endpoint"),
    ],
)
async def test_errors_have_the_protocols_shape(
    path: str, addresses: tuple[str, ...], status: int, told: str
) -> None:
    response = await get(path, *addresses)
    assert response.status_code == status
    assert told in response.json()["error"]


async def test_the_server_says_that_it_has_statistics() -> None:
    assert "statistics" in (await get("/v2")).json()["extensions"]

"""The gateway over a foreign inference server: our own inference service, reached by ModelInfer alone."""

from __future__ import annotations

import os
import signal
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest

from tests.integration.test_platform_life import steady_load, until
from tests.integration.test_upstreams import until_count
from tests.support.platform import ROOT, Platform, copy_models, platform
from tests.support.times_models import write_times
from trireme_protos.inference import grpc_service_pb2 as pb

SEVEN = (ROOT / "models" / "digits" / "samples" / "7.png").read_bytes()
TEXTS = ["这家酒店非常好", "很差", " ", "早餐一般，房间很大"]
FEATURES = [59.0, 2.0, 32.1, 101.0, 157.0, 93.2, 38.0, 4.0, 4.8598, 87.0]
IDS = {"name": "ids", "datatype": "INT32", "shape": [2, 3], "data": [3, 5, 7, 9, 11, 13]}
COUNTS = {"name": "counts", "datatype": "FP32", "shape": [2, 3], "data": [1.0] * 6}


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """The platform over the models that ship, its gateway told that inference is somebody else's."""
    models = copy_models(tmp_path_factory.mktemp("models"))
    folder = tmp_path_factory.mktemp("foreign")
    with platform(models, folder, "--redis", "off", TRIREME_GATEWAY_INFERENCE_PROTOCOL="oip") as started:
        yield started


@pytest.fixture
def other(foreign: Platform) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=foreign.url, timeout=30) as opened:
        yield opened


ASKED: dict[str, tuple[str, dict[str, Any]]] = {
    "texts": ("/predict", {"json": {"texts": TEXTS}}),
    "a hundred texts": ("/predict", {"json": {"texts": [f"第{number}次" for number in range(100)]}}),
    "numbers": ("/predict", {"json": {"data": FEATURES}}),
    "a picture": ("/predict", {"files": {"file": ("7.png", SEVEN)}}),
    "a batch": ("/predict/batch", {"json": {"texts": TEXTS}}),
    "v1": (
        "/v1/models/digits:predict",
        {"json": {"instances": [{"b64": b64encode(SEVEN).decode()}]}},
    ),
    "v2": (
        "/v2/models/sentiment-zh/infer",
        {"json": {"inputs": [{"name": "text", "datatype": "BYTES", "shape": [1], "data": TEXTS[:1]}]}},
    ),
    "v2 of the bare model": (
        "/v2/models/sentiment-zh.inference/infer",
        {"json": {"inputs": [IDS, COUNTS]}},
    ),
    "a wrong shape": (
        "/v2/models/sentiment-zh.inference/infer",
        {"json": {"inputs": [IDS, COUNTS | {"shape": [3, 2]}]}},
    ),
}


def _lasting(found: Any) -> Any:
    """The answer without its times."""
    if isinstance(found, dict):
        return {key: _lasting(value) for key, value in found.items() if key != "inference_time"}
    return [_lasting(value) for value in found] if isinstance(found, list) else found


def _values(answer: httpx.Response) -> Any:
    if answer.headers["content-type"] == "application/x-ndjson":
        return [_lasting(httpx.Response(200, text=line).json()) for line in answer.text.splitlines()]
    return _lasting(answer.json())


def _close(found: Any, expected: Any) -> bool:
    """Equal but for the rounding of a batch of another size."""
    if isinstance(expected, float):
        return bool(found == pytest.approx(expected, rel=1e-5, abs=1e-6))
    if isinstance(expected, dict):
        return found.keys() == expected.keys() and all(_close(found[key], expected[key]) for key in expected)
    if isinstance(expected, list):
        return len(found) == len(expected) and all(map(_close, found, expected))
    return bool(found == expected)


def test_no_stream_leads_to_it(client: httpx.Client, other: httpx.Client) -> None:
    """Control: over a stream the endpoint would have said its device."""
    assert client.get("/health").json()["stats"]["device"]
    assert other.get("/health").json()["stats"]["device"] == ""


@pytest.mark.parametrize("asked", ASKED)
def test_every_door_answers_as_over_streams(client: httpx.Client, other: httpx.Client, asked: str) -> None:
    path, how = ASKED[asked]
    expected, found = client.post(path, **how), other.post(path, **how)
    assert found.status_code == expected.status_code
    assert _close(_values(found), _values(expected)), found.text


@pytest.mark.parametrize("model", ["sentiment-zh", "digits.inference", "tabular"])
def test_metadata_is_the_same(client: httpx.Client, other: httpx.Client, model: str) -> None:
    path = f"/v2/models/{model}"
    assert other.get(path).json() == client.get(path).json()


def test_the_grpc_door_answers_too(foreign: Platform) -> None:
    request = pb.ModelInferRequest(model_name="sentiment-zh")
    data = request.inputs.add(name="text", datatype="BYTES", shape=[2]).contents.bytes_contents
    data.extend(text.encode() for text in TEXTS[:2])
    with grpc.insecure_channel(foreign.grpc) as channel:
        call = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer", None, None)
        answer = pb.ModelInferResponse.FromString(call(request.SerializeToString(), timeout=20))
    assert [output.name for output in answer.outputs] == ["label", "confidence", "probabilities"]
    assert answer.raw_output_contents[0].endswith("负面".encode())


def test_statistics_are_the_foreign_servers(other: httpx.Client) -> None:
    assert other.post("/predict", json={"data": [1, *FEATURES[1:]]}).status_code == 200
    (found,) = other.get("/v2/models/tabular/stats").json()["model_stats"]
    assert found["inference_count"] >= 1


def test_orders_are_carried_out_by_the_gateway(other: httpx.Client) -> None:
    assert other.post("/v2/repository/models/digits/unload").status_code == 200
    assert other.get("/v2/models/digits/ready").status_code != 200
    refused = other.post("/v2/models/digits.inference/infer", json={"inputs": []})
    assert refused.status_code == 503
    assert other.post("/v2/repository/models/digits/load").status_code == 200
    assert other.get("/v2/models/digits/ready").status_code == 200


def test_a_load_that_brings_files_is_refused(other: httpx.Client) -> None:
    refused = other.post("/v2/repository/models/digits/load", json={"parameters": {"config": "{}"}})
    assert refused.status_code == 400
    assert "takes no 'config'" in refused.json()["error"]


async def test_a_killed_server_of_two_loses_no_request(tmp_path: Path) -> None:
    models = tmp_path / "models"
    write_times(models, 1)
    with platform(
        models,
        tmp_path,
        "--redis",
        "off",
        "--replicas",
        "inference=2",
        TRIREME_GATEWAY_INFERENCE_PROTOCOL="oip",
    ) as running:
        # The platform is ready with one of the two; servers are looked at once a second.
        await until_count(running, "inference", "usable", 2)
        async with steady_load(running.url) as load:
            await until(lambda: load.answered > 100)
            os.kill(running.pids["inference-0"], signal.SIGKILL)
            before = load.answered
            await until(lambda: load.answered > before + 500)
        assert load.failures == []

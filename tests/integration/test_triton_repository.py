"""A repository as Triton has it, served by the whole platform and asked in Triton's protocol."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support import onnx_models
from tests.support.platform import Platform, platform
from tests.support.triton_models import SCALE_CONFIG, write_triton_model

# Sums the whole of its input: its first dimension is no batch.
TOTAL = """\
backend: "onnxruntime"
max_batch_size: 0
input { name: "x" data_type: TYPE_FP32 dims: [ -1, 2 ] }
output { name: "y" data_type: TYPE_FP32 dims: [ 1 ] }
"""
# Callers see [N, 1] where the file takes and gives [N].
LOOKUP = """\
name: "lookup"
platform: "onnxruntime_onnx"
max_batch_size: 4
input { name: "ids" data_type: TYPE_INT64 dims: [ 1 ] reshape { shape: [ ] } }
output { name: "y" data_type: TYPE_FP32 dims: [ 1 ] reshape { shape: [ ] } }
version_policy { all { } }
parameters { key: "execution_mode" value { string_value: "1" } }
optimization { graph { level: -1 } }
a_key_of_tomorrow { really: true }
"""
# Runs when six have come, or the first has waited for 20 s.
PREFERRED = """\
platform: "onnxruntime_onnx"
max_batch_size: 8
input { name: "x" data_type: TYPE_FP32 dims: [ 4 ] }
output { name: "y" data_type: TYPE_FP32 dims: [ 4 ] }
dynamic_batching { preferred_batch_size: [ 6 ] max_queue_delay_microseconds: 20000000 }
"""
BROKEN = 'backend: "onnxruntime"\ninput [ { name: "x"\n'


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    models = tmp_path_factory.mktemp("triton")
    scale = {1: onnx_models.scale(2.0), 2: onnx_models.scale(3.0)}
    write_triton_model(models, "scale", SCALE_CONFIG, scale, labels_txt="one\ntwo\nthree\nfour\n")
    write_triton_model(models, "total", TOTAL, {1: onnx_models.total()})
    write_triton_model(models, "lookup", LOOKUP, {1: onnx_models.lookup(), 7: onnx_models.lookup(4)})
    write_triton_model(models, "preferred", PREFERRED, {1: onnx_models.scale(2.0)})
    write_triton_model(models, "bare", None, {1: onnx_models.scale(5.0)})
    return models


@pytest.fixture(scope="module")
def served(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """The platform; what it refuses to start with is put beside the others when it runs."""
    folder = tmp_path_factory.mktemp("platform")
    options = ("--redis", "off")
    with platform(repository, folder, *options, TRIREME_MODELS_POLL_SECONDS="0.2") as started:
        write_triton_model(repository, "broken", BROKEN, {1: b"w"})
        write_triton_model(repository, "plan", 'platform: "tensorrt_plan"', {1: b"w"})
        yield started


@pytest.fixture
def client(served: Platform) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=served.url, timeout=30) as opened:
        yield opened


def ask(client: httpx.Client, model: str, name: str, datatype: str, data: list[Any], **more: Any) -> Any:
    shape, level = [], data
    while isinstance(level, list):
        shape.append(len(level))
        level = level[0]
    body = {"inputs": [{"name": name, "datatype": datatype, "shape": shape, "data": data}], **more}
    return client.post(f"/v2/models/{model}/infer", json=body)


def test_a_batched_model_answers_rows(client: httpx.Client) -> None:
    answer = ask(client, "scale", "x", "FP32", [[1, 2, 3, 4], [5, 6, 7, 8]]).json()
    assert (answer["model_name"], answer["model_version"]) == ("scale", "2")
    (output,) = answer["outputs"]
    assert (output["shape"], output["data"]) == ([2, 4], [3, 6, 9, 12, 15, 18, 21, 24])
    metadata = client.get("/v2/models/scale").json()
    assert metadata["inputs"] == [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}]
    assert metadata["versions"] == ["2"]


def test_callers_who_come_one_by_one_share_the_preferred_batch(client: httpx.Client) -> None:
    def one(number: int) -> float:
        time.sleep(0.03 * number)  # each by a message of its own
        (output,) = ask(client, "preferred", "x", "FP32", [[number] * 4]).json()["outputs"]
        return float(output["data"][0])

    with ThreadPoolExecutor(6) as callers:
        assert list(callers.map(one, range(6))) == [0, 2, 4, 6, 8, 10]
    (found,) = client.get("/v2/models/preferred/stats").json()["model_stats"]
    assert (found["inference_count"], found["execution_count"]) == (6, 1)


def test_labels_name_the_classes(client: httpx.Client) -> None:
    outputs = [{"name": "y", "parameters": {"classification": 2}}]
    answer = ask(client, "scale", "x", "FP32", [[1, 9, 3, 4]], outputs=outputs).json()
    assert answer["outputs"][0]["data"] == ["27.000000:1:two", "12.000000:3:four"]


def test_a_model_without_batch_takes_a_request_as_it_is(client: httpx.Client) -> None:
    answer = ask(client, "total", "x", "FP32", [[1, 2], [3, 4], [5, 6]]).json()
    assert (answer["outputs"][0]["shape"], answer["outputs"][0]["data"]) == ([1], [21])


def test_reshaped_tensors_and_every_version(client: httpx.Client) -> None:
    answer = ask(client, "lookup", "ids", "INT64", [[3], [1]]).json()
    assert (answer["outputs"][0]["shape"], answer["outputs"][0]["data"]) == ([2, 1], [30, 10])
    assert client.get("/v2/models/lookup").json()["versions"] == ["1", "7"]
    assert ask(client, "lookup", "ids", "INT64", [3, 1]).status_code == 400


def test_what_is_not_honoured_is_said(client: httpx.Client, served: Platform) -> None:
    reason = client.get("/health").json()["models"]["lookup"]["reason"]
    for name in ("optimization.graph", 'parameters["execution_mode"]', "a_key_of_tomorrow (line 9)"):
        assert name in reason
    logged = [line for line in served.log_lines() if line.get("event") == "model_notes"]
    assert any("a_key_of_tomorrow" in str(line["notes"]) for line in logged)


def test_the_configuration_in_tritons_json(client: httpx.Client) -> None:
    config = client.get("/v2/models/lookup/config").json()
    assert (config["name"], config["platform"], config["max_batch_size"]) == ("lookup", "onnxruntime_onnx", 4)
    assert config["input"][0]["dims"] == [1]
    assert config["input"][0]["reshape"] == {"shape": []}
    assert config["parameters"] == {"execution_mode": {"string_value": "1"}}
    bare = client.get("/v2/models/bare/versions/1/config").json()
    assert (bare["input"][0]["data_type"], bare["input"][0]["dims"]) == ("TYPE_FP32", [4])
    assert bare["max_batch_size"] == 32
    assert client.get("/v2/models/nobody/config").status_code == 404


def test_malformed_neighbours_are_named_and_disturb_nobody(client: httpx.Client) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        health = client.get("/health").json()["models"]
        if {"broken", "plan"} <= set(health):
            break
        time.sleep(0.05)
    assert health["broken"]["state"] == health["plan"]["state"] == "UNAVAILABLE"
    assert "config.pbtxt, line 3" in health["broken"]["reason"]
    assert "/" not in health["broken"]["reason"].partition("config.pbtxt")[0].removeprefix("broken/")
    assert "take the ONNX file it was built from" in health["plan"]["reason"]
    assert ask(client, "plan", "x", "FP32", [[1]]).status_code == 503
    assert ask(client, "bare", "x", "FP32", [[1, 1, 1, 1]]).json()["outputs"][0]["data"] == [5] * 4

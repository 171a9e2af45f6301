"""Triton's logging, trace, shared-memory and repository extensions, asked of a gateway of two workers.

Triton's own clients run in processes of their own (see the contract of names). Where every worker is meant,
24 fresh gRPC connections are made: the kernel spreads them over the workers' sockets.
"""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing import shared_memory
from pathlib import Path
from typing import Any

import grpc
import httpx
import numpy as np
import pytest

from tests.support.collector import CollectedSpan, Collector, collector
from tests.support.onnx_models import scale
from tests.support.platform import ROOT, Platform, platform
from tests.support.times_models import SPEC, write_times
from trireme_protos.inference import grpc_service_pb2 as pb

_CONNECTIONS = 24
_CALL = "/inference.GRPCInferenceService/{}"


@dataclass
class Asked:
    """A gateway of two workers that allows shared memory and exports to a collector."""

    platform: Platform
    collector: Collector
    http: httpx.Client
    models: Path

    def everywhere(self, method: str, request: Any, answer: type[Any], tag: str = "") -> list[Any]:
        """The answers over fresh connections; requests have the ids `tag`-0, `tag`-1, ..."""
        answers = []
        for number in range(_CONNECTIONS):
            # Connections of one process to one address share a socket unless they are told otherwise.
            options = (("grpc.use_local_subchannel_pool", 1),)
            with grpc.insecure_channel(self.platform.grpc, options=options) as channel:
                call = channel.unary_unary(_CALL.format(method), None, None)
                metadata = (("x-request-id", f"{tag}-{number}"),) if tag else ()
                data = call(request.SerializeToString(), metadata=metadata, timeout=30)
                answers.append(answer.FromString(data))
        return answers

    def lines(self, tag: str) -> list[dict[str, Any]]:
        """The access log of the requests of `tag`."""
        return [line for line in self.platform.requests() if line["request_id"].startswith(f"{tag}-")]

    def wait_for_lines(self, tag: str, count: int) -> None:
        end = time.monotonic() + 10
        while len(self.lines(tag)) < count:
            assert time.monotonic() < end, f"{len(self.lines(tag))} lines of {count}"
            time.sleep(0.05)


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asked]:
    models = tmp_path_factory.mktemp("models")
    write_times(models, 2)
    write_times(models, 3, name="other")
    write_times(models, 1, b"this is no model", name="broken")
    settings = {
        "TRIREME_GATEWAY_SHARED_MEMORY": "true",
        "TRIREME_MODELS_POLL_SECONDS": "0.2",
        # Only what the tests flush leaves in their time.
        "OTEL_BSP_SCHEDULE_DELAY": "600000",
    }
    with collector() as found:
        settings["TRIREME_OTEL_EXPORTER_ENDPOINT"] = found.url
        folder = tmp_path_factory.mktemp("platform")
        with (
            platform(models, folder, "--workers", "2", **settings) as started,
            httpx.Client(base_url=started.url, timeout=30) as client,
        ):
            yield Asked(started, found, client, models)


@pytest.mark.parametrize("transport", ["http", "grpc"])
def test_a_tour_with_tritons_clients(asked: Asked, transport: str) -> None:
    url = asked.platform.grpc if transport == "grpc" else asked.platform.url.removeprefix("http://")
    command = [sys.executable, "-m", "tests.support.triton_tour", url, transport]
    tour = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=90)
    assert tour.stdout == "toured\n", tour.stderr


def test_log_settings_hold_at_every_worker(asked: Asked) -> None:
    live = pb.ServerMetadataRequest()
    asked.everywhere("ServerMetadata", live, pb.ServerMetadataResponse, "loud")
    asked.wait_for_lines("loud", _CONNECTIONS)
    assert asked.http.post("/v2/logging", json={"log_info": False}).status_code == 200
    asked.everywhere("ServerMetadata", live, pb.ServerMetadataResponse, "quiet")
    shown = asked.everywhere("LogSettings", pb.LogSettingsRequest(), pb.LogSettingsResponse)
    assert {answer.settings["log_info"].bool_param for answer in shown} == {False}
    assert asked.http.post("/v2/logging", json={"log_info": True}).status_code == 200
    asked.everywhere("ServerMetadata", live, pb.ServerMetadataResponse, "again")
    asked.wait_for_lines("again", _CONNECTIONS)
    assert not asked.lines("quiet")


def test_lines_can_be_text(asked: Asked) -> None:
    assert asked.http.post("/v2/logging", json={"log_format": "ISO8601"}).status_code == 200
    asked.everywhere("ServerMetadata", pb.ServerMetadataRequest(), pb.ServerMetadataResponse, "text")
    assert asked.http.post("/v2/logging", json={"log_format": "default"}).status_code == 200
    asked.everywhere("ServerMetadata", pb.ServerMetadataRequest(), pb.ServerMetadataResponse, "json")
    asked.wait_for_lines("json", _CONNECTIONS)
    assert not asked.lines("text")
    texts = [line for line in asked.platform.log.read_text().splitlines() if 'request_id="text-' in line]
    assert len(texts) == _CONNECTIONS
    assert all(" I gateway request endpoint=" in line for line in texts)


def test_a_count_of_traces_is_shared_by_all_workers(asked: Asked) -> None:
    given = {"trace_rate": "1", "trace_count": "5", "log_frequency": "1"}
    setting = "/v2/models/other/trace/setting"
    changed = asked.http.post(setting, json=given).json()
    assert {name: changed[name] for name in given} == given
    for number in range(3):
        asked.everywhere("ModelInfer", _request("other", number), pb.ModelInferResponse)
    assert asked.http.get(setting).json()["trace_count"] == "0"
    # A caller's own trace is traced whatever the count, and so tells when all others have arrived.
    marker = f"{0xFEED:032x}"
    header = {"traceparent": f"00-{marker}-00f067aa0ba902b7-01"}
    body = {"instances": [[9, 9, 9, 9]]}
    assert asked.http.post("/v1/models/other:predict", json=body, headers=header).status_code == 200
    asked.collector.wait(lambda spans: any(s.trace_id == marker and s.kind == "server" for s in spans))
    asked.collector.wait(lambda spans: len(_inferences(spans)) >= 5)
    assert len(_inferences(asked.collector.spans)) == 5
    cleared = dict.fromkeys(given)
    assert asked.http.post(setting, json=cleared).json()["trace_count"] == "-1"


def test_where_no_collector_is_named_traces_are_in_the_log(running: Platform) -> None:
    setting = f"{running.url}/v2/models/tabular/trace/setting"
    given = {"trace_level": ["TIMESTAMPS"], "trace_rate": "1", "trace_count": "1"}
    assert httpx.post(setting, json=given).json()["trace_level"] == ["TIMESTAMPS"]
    try:
        for number in range(3):
            answer = running.post("/predict", json={"data": [number] * 10})
            assert answer.status_code == 200
        end = time.monotonic() + 10
        while not (roots := _spans(running, "POST /predict")):
            assert time.monotonic() < end
            time.sleep(0.05)
        assert httpx.get(setting).json()["trace_count"] == "0"
    finally:
        cleared = httpx.post(setting, json=dict.fromkeys(given)).json()
    assert cleared["trace_level"] == ["OFF"]
    (root,) = roots
    assert root["attributes"]["trireme.model"] == "tabular"
    calls = [line for line in _spans(running, "call inference") if line["parent_id"] == root["span_id"]]
    assert [call["trace_id"] for call in calls] == [root["trace_id"]]


def test_regions_are_known_to_every_worker_and_gone_from_every_worker(asked: Asked) -> None:
    values = np.array([1, 2, 3, 4], np.float32)
    memory = shared_memory.SharedMemory(create=True, size=64)
    try:
        np.ndarray(values.shape, values.dtype, buffer=memory.buf)[:] = values
        body = {"key": f"/{memory.name.lstrip('/')}", "offset": 0, "byte_size": 64}
        assert asked.http.post("/v2/systemsharedmemory/region/all/register", json=body).status_code == 200
        request = _request("times")
        request.ClearField("raw_input_contents")
        request.inputs[0].parameters["shared_memory_region"].string_param = "all"
        request.inputs[0].parameters["shared_memory_byte_size"].int64_param = values.nbytes
        answers = asked.everywhere("ModelInfer", request, pb.ModelInferResponse)
        assert {answer.raw_output_contents[0] for answer in answers} == {(values * 2).tobytes()}
        assert asked.http.post("/v2/systemsharedmemory/region/all/unregister").status_code == 200
        status = pb.SystemSharedMemoryStatusRequest()
        found = asked.everywhere("SystemSharedMemoryStatus", status, pb.SystemSharedMemoryStatusResponse)
        assert not any(answer.regions for answer in found)
    finally:
        memory.close()
        memory.unlink()


def test_a_model_that_cannot_be_loaded_says_why(asked: Asked) -> None:
    bad = asked.models / "bad"
    bad.mkdir()
    (bad / "model.yaml").write_text("name: bad\n" + SPEC + "flavour: sweet\n")
    for name, status, said in (
        ("broken", 400, "version 1"),
        ("bad", 400, "flavour"),
        ("nobody", 404, "unknown model 'nobody'"),
    ):
        answer = asked.http.post(f"/v2/repository/models/{name}/load")
        assert answer.status_code == status
        assert name in answer.json()["error"]
        assert said in answer.json()["error"]


def test_a_load_may_bring_a_configuration_and_files_along(asked: Asked) -> None:
    config = {
        "backend": "onnxruntime",
        "max_batch_size": 4,
        "input": [{"name": "x", "data_type": "TYPE_FP32", "dims": [4]}],
        "output": [{"name": "y", "data_type": "TYPE_FP32", "dims": [4]}],
    }

    def load(**more: Any) -> httpx.Response:
        parameters = {"config": json.dumps({**config, **more})}
        if content is not None:
            parameters["file:1/model.onnx"] = base64.b64encode(content).decode()
        return asked.http.post("/v2/repository/models/sent/load", json={"parameters": parameters})

    def factor() -> Any:
        body = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 4], "data": [1, 1, 1, 1]}]}
        answer = asked.http.post("/v2/models/sent/infer", json=body)
        return answer.json()["outputs"][0]["data"][0] if answer.status_code == 200 else answer.status_code

    content: bytes | None = None
    assert load().status_code == 404
    for wanted in (5, 6):
        content = scale(wanted)
        assert load().status_code == 200
        assert factor() == wanted
    content = b"this is no model"
    refused = load()
    assert refused.status_code == 400
    assert "failed to load 'sent'" in refused.json()["error"]
    assert factor() == 6
    content = scale(7)
    assert load(max_batch_size=2).status_code == 200
    assert asked.http.get("/v2/models/sent/config").json()["max_batch_size"] == 2
    assert asked.http.post("/v2/repository/models/sent/unload").status_code == 200
    assert factor() == 503
    pipeline = asked.http.post(
        "/v2/repository/models/times/load", json={"parameters": {"config": json.dumps(config)}}
    )
    assert pipeline.status_code == 400
    assert "pre- and postprocess of its own" in pipeline.json()["error"]


def test_the_index_says_what_is_ready_and_why_something_is_not(asked: Asked) -> None:
    entries = {entry["name"]: entry for entry in asked.http.post("/v2/repository/index", json={}).json()}
    assert (entries["times"]["version"], entries["times"]["state"]) == ("2", "READY")
    assert (entries["broken"]["version"], entries["broken"]["state"]) == ("1", "UNAVAILABLE")
    assert entries["broken"]["reason"]
    ready = asked.http.post("/v2/repository/index", json={"ready": True}).json()
    assert {entry["name"] for entry in ready} == {"times", "other"}


def _spans(platform: Platform, name: str) -> list[dict[str, Any]]:
    """The spans of that name in the log."""
    return [line for line in platform.log_lines() if (line.get("event"), line.get("name")) == ("span", name)]


def _inferences(spans: list[CollectedSpan]) -> list[CollectedSpan]:
    """The requests of ModelInfer that asked model `other`."""
    roots = [span for span in spans if span.name.endswith("/ModelInfer")]
    return [root for root in roots if root.attributes.get("trireme.model") == "other"]


def _request(model: str, number: int = 1) -> Any:
    values = np.full(4, number, np.float32)
    request = pb.ModelInferRequest(model_name=f"{model}.inference", raw_input_contents=[values.tobytes()])
    request.inputs.add(name="x", datatype="FP32", shape=[1, 4])
    return request

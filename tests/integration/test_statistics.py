"""Statistics of real processes: what N requests leave behind at a replica, and at the gateway over two."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import httpx
import numpy as np
import psutil
import pytest
from google.protobuf.message import Message

from scripts.generate_metrics_doc import TARGET
from tests.support import onnx_models
from tests.support.onnx_models import write_version
from tests.support.platform import Platform, copy_models, platform
from tests.support.stage_process import free_port, running
from trireme_gateway.statistics.endpoint import ask_endpoint
from trireme_gateway.statistics.model_statistics import BATCH, summed
from trireme_protos.inference import grpc_service_pb2 as oip

TEXTS = [f"这家酒店第{number}次来也很好" for number in range(6)]
FEATURES = [59.0, 2.0, 32.1, 101.0, 157.0, 93.2, 38.0, 4.0, 4.8598, 87.0]


async def call(channel: grpc.aio.Channel, name: str, request: Message) -> Any:
    method = channel.unary_unary(f"/inference.GRPCInferenceService/{name}", bytes, bytes)
    answer: Any = getattr(oip, f"{name}Response")
    return answer.FromString(await method(request.SerializeToString(), timeout=10))


def look_up(model: str, *ids: int) -> oip.ModelInferRequest:
    request = oip.ModelInferRequest(model_name=model, raw_input_contents=[np.array(ids, np.int64).tobytes()])
    request.inputs.add(name="ids", datatype="INT64", shape=[len(ids)])
    return request


class Replica:
    """One inference service, its models in a thread and in a process of their own."""

    def __init__(self, channel: grpc.aio.Channel, metrics_port: int) -> None:
        self.channel = channel
        self._metrics_url = f"http://127.0.0.1:{metrics_port}/metrics"

    async def infer(self, model: str, *ids: int) -> None:
        await call(self.channel, "ModelInfer", look_up(model, *ids))

    async def statistics(self, name: str = "", version: str = "") -> Any:
        request = oip.ModelStatisticsRequest(name=name, version=version)
        return (await call(self.channel, "ModelStatistics", request)).model_stats

    async def metrics(self) -> str:
        async with httpx.AsyncClient() as client:
            return (await client.get(self._metrics_url)).text


@pytest.fixture
async def replica(tmp_path: Path) -> AsyncIterator[Replica]:
    models, port = tmp_path / "models", free_port()
    models.mkdir()
    for isolation in ("thread", "process"):
        spec = f"instances: {{count: 1, isolation: {isolation}}}\n"
        write_version(models, isolation, 1, onnx_models.lookup(), spec=spec)
    log = tmp_path / "log"
    async with running("inference", models, log, TRIREME_INFERENCE_METRICS_PORT=str(port)) as channel:
        yield Replica(channel, port)


async def test_a_replica_counts_in_threads_and_in_processes_alike(replica: Replica) -> None:
    for model in ("thread", "process"):
        for number in range(4):
            await replica.infer(model, *range(number + 1))
        with pytest.raises(grpc.aio.AioRpcError):
            await replica.infer(model, 99)
    in_process, in_thread = await replica.statistics()
    assert (in_process.name, in_thread.name) == ("process", "thread")
    for found in (in_process, in_thread):
        stats = found.inference_stats
        assert (found.inference_count, found.execution_count) == (10, 4)
        assert (stats.success.count, stats.queue.count, stats.fail.count) == (4, 4, 1)
        parts = [getattr(stats, part) for part in BATCH]
        assert all(part.count == 4 and part.ns > 0 for part in parts)
        assert stats.queue.ns + sum(part.ns for part in parts) <= stats.success.ns + 8
        assert stats.fail.ns > 0
        assert stats.cache_hit.count == stats.cache_miss.count == 0
        assert [(batch.batch_size, batch.compute_infer.count) for batch in found.batch_stats] == [
            (1, 1), (2, 1), (3, 1), (4, 1)
        ]  # fmt: skip
        assert sum(batch.compute_infer.ns for batch in found.batch_stats) == stats.compute_infer.ns
        assert found.last_inference > 1_600_000_000_000
    assert [usage.type for usage in in_process.memory_usage] == ["CPU"]
    assert in_process.memory_usage[0].byte_size > 1_000_000
    assert not in_thread.memory_usage
    # One model alone, under its bare name; and what Triton says of others.
    (found,) = await replica.statistics("thread.inference", "1")
    assert (found.name, found.version, found.execution_count) == ("thread.inference", "1", 4)
    for name, version, told in (
        ("nobody", "", "requested model 'nobody' is not available"),
        ("thread", "7", "requested model version is not available for model 'thread'"),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await replica.statistics(name, version)
        assert (caught.value.code(), caught.value.details()) == (grpc.StatusCode.NOT_FOUND, told)


async def test_prometheus_reads_tritons_families(replica: Replica) -> None:
    await replica.infer("process", 1, 2)
    with pytest.raises(grpc.aio.AioRpcError):
        await replica.infer("process", 99)
    text = await replica.metrics()
    values = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    labels = 'model="process",version="1"'
    failed = 'nv_inference_request_failure{model="process",reason="%s",version="1"}'
    assert float(values[f"nv_inference_request_success{{{labels}}}"]) == 1
    assert [float(values[failed % reason]) for reason in ("BACKEND", "REJECTED")] == [1, 0]
    for part in ("compute_input", "compute_infer", "compute_output", "queue", "request"):
        assert float(values[f"nv_inference_{part}_duration_us{{{labels}}}"]) > 0
    assert float(values[f'trireme_inference_worker_cpu_seconds_total{{instance="0",{labels}}}']) > 0
    assert 0 <= float(values["nv_cpu_utilization"]) <= 1
    assert float(values["nv_cpu_memory_used_bytes"]) < float(values["nv_cpu_memory_total_bytes"])
    assert float(values["process_cpu_seconds_total"]) > 0
    assert undocumented(text) == []


def undocumented(text: str) -> list[str]:
    """Families of an exposition that docs/metrics.md does not name."""
    page = TARGET.read_text("utf-8")
    names = re.findall(r"^# TYPE (\S+)", text, re.MULTILINE)
    assert len(names) > 20
    return [name for name in names if f"| `{name}` |" not in page]


@pytest.fixture(scope="module")
def counted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """A platform of two gateway workers and two inference replicas that answered only what is said here:
    six texts, each twice, and seven rows of numbers."""
    models = copy_models(tmp_path_factory.mktemp("models"), "sentiment-zh", "tabular")
    folder = tmp_path_factory.mktemp("platform")
    with platform(models, folder, "--replicas", "inference=2", "--workers", "2") as started:
        for text in TEXTS * 2:
            # A connection each, so that both workers are asked.
            started.post("/predict", json={"texts": [text]}).raise_for_status()
        for number in range(7):
            row = {"name": "input", "datatype": "FP32", "shape": [1, 10], "data": [number, *FEATURES[1:]]}
            url = f"{started.url}/v2/models/tabular.inference/infer"
            httpx.post(url, json={"inputs": [row]}, timeout=30).raise_for_status()
        yield started


def statistics(counted: Platform, path: str) -> list[dict[str, Any]]:
    answer = counted.get(f"/v2/models/{path}")
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["model_stats"]
    return found


def test_every_item_was_computed_or_came_from_the_cache(counted: Platform) -> None:
    (found,) = statistics(counted, "sentiment-zh/stats")
    stats = found["inference_stats"]
    hits, misses = stats["cache_hit"]["count"], stats["cache_miss"]["count"]
    assert hits + misses == 2 * len(TEXTS)
    assert misses >= len(TEXTS)
    assert hits > 0 < stats["cache_hit"]["ns"]
    assert found["inference_count"] == found["execution_count"] == misses
    assert stats["success"]["count"] == stats["queue"]["count"] == 2 * len(TEXTS)
    computed = [stats[part] for part in BATCH]
    assert all(part["count"] == misses and part["ns"] > 0 for part in computed)
    assert sum(part["ns"] for part in computed) < stats["success"]["ns"]
    assert stats["fail"] == {"count": 0, "ns": 0}


def test_the_bare_model_shows_the_same_runs_without_the_cache(counted: Platform) -> None:
    (whole,) = statistics(counted, "sentiment-zh/versions/1/stats")
    (bare,) = statistics(counted, "sentiment-zh.inference/versions/1/stats")
    assert bare["name"] == "sentiment-zh.inference"
    assert bare["execution_count"] == whole["execution_count"]
    assert bare["batch_stats"] == whole["batch_stats"]
    assert bare["inference_stats"]["cache_hit"]["count"] == 0
    assert bare["inference_stats"]["success"]["count"] == bare["inference_count"]


async def test_the_gateway_sums_over_its_replicas(counted: Platform) -> None:
    answers = [await ask_endpoint(address, "", "", 10.0) for address in replicas(counted)]
    assert len(answers) == 2
    by_gateway = {one["name"]: one for one in statistics(counted, "stats")}
    assert set(by_gateway) == {"sentiment-zh", "tabular"}
    for one in summed(one for answer in answers for one in answer):
        assert by_gateway[one.name]["execution_count"] == one.executions
        assert (
            by_gateway[one.name]["inference_stats"]["compute_infer"]["ns"]
            == one.inference["compute_infer"].ns
        )
    assert by_gateway["tabular"]["inference_count"] == 7


def replicas(counted: Platform) -> list[str]:
    """Where the inference services listen."""
    pids = [pid for name, pid in counted.pids.items() if name.startswith("inference")]
    return [f"127.0.0.1:{psutil.Process(pid).environ()['TRIREME_INFERENCE_PORT']}" for pid in pids]


def test_the_gateway_shows_all_its_processes_and_the_cache(counted: Platform) -> None:
    text = counted.get("/metrics").text
    pids = re.findall(r'^process_cpu_seconds_total\{pid="(\d+)"\} [\d.]+$', text, re.MULTILINE)
    assert len(pids) == len(set(pids)) == 3  # the supervisor and its two workers
    assert re.findall(r'^process_resident_memory_bytes\{pid="(\d+)"\}', text, re.MULTILINE) == pids
    hits = re.search(
        r'^nv_cache_num_hits_per_model\{model="sentiment-zh",version="1"\} (\S+)$', text, re.MULTILINE
    )
    (found,) = statistics(counted, "sentiment-zh/stats")
    assert hits is not None
    assert float(hits[1]) == found["inference_stats"]["cache_hit"]["count"]
    assert undocumented(text) == []


_CLIENTS = """
import sys
import tritonclient.{kind} as triton
from tritonclient.utils import InferenceServerException

client = triton.InferenceServerClient(sys.argv[1])
{read}
(found,) = models("tabular", "1")
assert (found["name"], found["version"]) == ("tabular", "1"), found
assert int(found["inference_stats"]["success"]["count"]) == 7, found
assert int(found["inference_stats"]["compute_infer"]["ns"]) > 0, found
runs = [int(batch["compute_input"]["count"]) for batch in found["batch_stats"]]
assert sum(runs) == int(found["execution_count"]), found
assert {{one["name"] for one in models()}} == {{"sentiment-zh", "tabular"}}
try:
    models("nobody")
except InferenceServerException as error:
    assert "requested model 'nobody' is not available" in error.message(), error
else:
    raise AssertionError("nobody is served")
print("read")
"""
_READ = {
    "http": """
def models(*asked):
    return client.get_inference_statistics(*asked)["model_stats"]
""",
    "grpc": """
def models(*asked):
    return client.get_inference_statistics(*asked, as_json=True)["model_stats"]
""",
}


@pytest.mark.parametrize("kind", ["http", "grpc"])
def test_tritons_own_clients_read_them(counted: Platform, kind: str) -> None:
    target = counted.grpc if kind == "grpc" else counted.url.removeprefix("http://")
    program = _CLIENTS.format(kind=kind, read=_READ[kind])
    done = subprocess.run([sys.executable, "-c", program, target], capture_output=True, text=True, timeout=60)
    assert done.stdout == "read\n", done.stderr

"""Requests of several callers run together, one of them makes the run fail: it fails alone.

Servers that batch and give the failure of a batch to all of its members fail this.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import grpc.aio
import httpx
import numpy as np

from tests.integration.test_lazy_models import sample
from tests.support.onnx_models import lookup, write_version
from tests.support.platform import platform
from tests.support.stage_process import free_port
from trireme_protos.inference import grpc_service_pb2 as pb

TOGETHER = """\
task: tensor
inputs: [{name: ids, datatype: INT64, shape: [-1]}]
outputs: [{name: y, datatype: FP32, shape: [-1]}]
batching: {max_batch_size: 16, max_queue_delay_ms: 300}
"""
IDS = [1, 2, 424242, 3, 4, 5, -424242, 6]
"""Those outside of the table of eight make the run fail in which they are."""


def request(number: int) -> pb.ModelInferRequest:
    made = pb.ModelInferRequest(model_name="lookup", id=str(number))
    made.inputs.add(name="ids", datatype="INT64", shape=[1]).contents.int64_contents.append(number)
    return made


async def test_a_request_that_fails_a_batch_fails_alone(tmp_path: Path) -> None:
    models = tmp_path / "models"
    models.mkdir()
    write_version(models, "lookup", 1, lookup(), spec=TOGETHER)
    port = str(free_port())
    made = platform(models, tmp_path, "--redis", "off", TRIREME_INFERENCE_METRICS_PORT=port)
    with made as running:
        async with httpx.AsyncClient(base_url=running.url, timeout=30) as client:

            async def ask(number: int) -> httpx.Response:
                entry = {"name": "ids", "datatype": "INT64", "shape": [1], "data": [number]}
                return await client.post("/v2/models/lookup/infer", json={"inputs": [entry]})

            answers = await asyncio.gather(*map(ask, IDS))
            for number, answer in zip(IDS, answers, strict=True):
                if abs(number) > 8:
                    assert answer.status_code == 500
                    assert "the model failed on this input" in answer.json()["error"]
                else:
                    assert answer.json()["outputs"][0]["data"] == [10.0 * number]
            metrics = f"http://127.0.0.1:{port}/metrics"
            batches = await sample(client, metrics, "trireme_inference_compute_seconds_count", model="lookup")
            assert 0 < batches < len(IDS), "the requests did not run together"
        await _ask_by_stream(running.grpc)


async def _ask_by_stream(address: str) -> None:
    async with grpc.aio.insecure_channel(address) as channel:
        call = channel.stream_stream("/inference.GRPCInferenceService/ModelStreamInfer", None, None)()
        for number in IDS:
            await call.write(request(number).SerializeToString())
        await call.done_writing()
        for number in IDS:
            answer = pb.ModelStreamInferResponse.FromString(await call.read())
            assert answer.infer_response.id == str(number)
            if abs(number) > 8:
                assert "the model failed on this input" in answer.error_message
            else:
                value = np.frombuffer(answer.infer_response.raw_output_contents[0], "<f4")
                assert value.tolist() == [10.0 * number]

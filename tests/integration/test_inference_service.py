"""The real process: streams, the Open Inference Protocol, hot reload, bad versions, drain."""

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import numpy as np
import pytest
from google.protobuf.message import Message

from tests.support import onnx_models
from tests.support.onnx_models import golden_of, write_version
from tests.support.stage_process import StageStream, free_port, running
from trireme_common.orders import Order, dump_orders
from trireme_common.orders_file import ORDERS_FILE
from trireme_common.stage_state import StageState, State
from trireme_common.tensors import Tensor, decode_tensors, encode_tensors
from trireme_protos.inference import grpc_service_pb2 as oip

METHOD = "/trireme.v1.InferenceService/Infer"
SPEC = """\
inputs: [{name: x, datatype: FP32, shape: [-1, 4]}]
outputs: [{name: y, datatype: FP32, shape: [-1, 4]}]
"""
ROW = np.array([[1, 2, 3, 4]], np.float32)


@pytest.fixture
def models(tmp_path: Path) -> Path:
    directory = tmp_path / "models"
    directory.mkdir()
    golden = golden_of({"x": ROW}, {"y": ROW})
    write_version(directory, "scale", 1, onnx_models.scale(1.0), spec=SPEC, golden=golden)
    write_version(directory, "text", 1, onnx_models.text())
    write_version(directory, "lookup", 1, onnx_models.lookup())
    return directory


@pytest.fixture
async def channel(models: Path, tmp_path: Path) -> AsyncIterator[grpc.aio.Channel]:
    async with running("inference", models, tmp_path / "log", TRIREME_INFERENCE_THREADS="1") as channel:
        yield channel


async def call(channel: grpc.aio.Channel, name: str, request: Message | bytes, timeout: float = 10) -> Any:
    """One unary call of the Open Inference Protocol."""
    data = request if isinstance(request, bytes) else request.SerializeToString()
    method = channel.unary_unary(f"/inference.GRPCInferenceService/{name}", bytes, bytes)
    return getattr(oip, f"{name}Response").FromString(await method(data, timeout=timeout))


def version_state(state: StageState, version: str) -> State | None:
    return next(
        (model.state for model in state.models if (model.name, model.version) == ("scale", version)), None
    )


async def test_the_stream_answers_items_and_ends_only_after_the_last(channel: grpc.aio.Channel) -> None:
    stream = StageStream(channel, METHOD)
    state = await stream.state_where(lambda state: bool(state.models))
    assert {model.name: model.state for model in state.models} == dict.fromkeys(
        ("lookup", "scale", "text"), "READY"
    )
    payloads = [encode_tensors([Tensor.of("x", ROW * number)]) for number in range(50)]
    good = await stream.send("scale", "1", payloads)
    bad = await stream.send("lookup", "1", [encode_tensors([Tensor.of("ids", np.array([9]))])])
    unknown = await stream.send("scale", "7", [b""])
    await stream.close()
    for number, future in enumerate(good):
        (tensor,) = decode_tensors(future.result().payload)
        np.testing.assert_array_equal(tensor.array(), ROW * number)
    assert bad[0].result().failure.code == "model_failed"
    assert unknown[0].result().failure.code == "model_not_found"


async def test_the_open_inference_protocol(channel: grpc.aio.Channel) -> None:
    assert (await call(channel, "ServerLive", oip.ServerLiveRequest())).live
    assert (await call(channel, "ServerReady", oip.ServerReadyRequest())).ready
    assert (await call(channel, "ServerMetadata", oip.ServerMetadataRequest())).name == "trireme-inference"
    for name, version, ready in [
        ("scale", "", True),
        ("scale.inference", "1", True),
        ("scale", "2", False),
        ("no", "", False),
    ]:
        assert (
            await call(channel, "ModelReady", oip.ModelReadyRequest(name=name, version=version))
        ).ready is ready
    metadata = await call(channel, "ModelMetadata", oip.ModelMetadataRequest(name="scale.inference"))
    assert (metadata.name, list(metadata.versions), metadata.platform) == (
        "scale.inference",
        ["1"],
        "onnxruntime_onnx",
    )
    assert [(tensor.name, tensor.datatype, list(tensor.shape)) for tensor in metadata.inputs] == [
        ("x", "FP32", [-1, 4])
    ]

    raw = oip.ModelInferRequest(model_name="scale", id="7", raw_input_contents=[ROW.tobytes()])
    raw.inputs.add(name="x", datatype="FP32", shape=[1, 4])
    answer = await call(channel, "ModelInfer", raw)
    assert (answer.model_name, answer.model_version, answer.id) == ("scale", "1", "7")
    assert list(answer.raw_output_contents) == [ROW.tobytes()]

    typed = oip.ModelInferRequest(model_name="scale.inference", model_version="1")
    typed.inputs.add(name="x", datatype="FP32", shape=[1, 4]).contents.fp32_contents.extend([1, 2, 3, 4])
    typed.outputs.add(name="y")
    answer = await call(channel, "ModelInfer", typed)
    assert list(answer.outputs[0].contents.fp32_contents) == [1, 2, 3, 4]
    assert not answer.raw_output_contents

    text = oip.ModelInferRequest(model_name="text")
    text.inputs.add(name="x", datatype="BYTES", shape=[2]).contents.bytes_contents.extend(
        ["中文".encode(), b""]
    )
    answer = await call(channel, "ModelInfer", text)
    assert list(answer.outputs[0].contents.bytes_contents) == ["中文".encode(), b""]


async def test_a_version_that_was_put_back_answers_where_none_is_named(models: Path, tmp_path: Path) -> None:
    spec = models / "scale" / "model.yaml"
    spec.write_text(f"{spec.read_text()}versions: {{policy: all}}\n")
    golden = golden_of({"x": ROW}, {"y": 2 * ROW})
    write_version(models, "scale", 2, onnx_models.scale(2.0), golden=golden)
    order = Order(time.time_ns() // 1000, "scale", version="1")
    (models / ORDERS_FILE).write_bytes(dump_orders([order]))
    async with running("inference", models, tmp_path / "log", TRIREME_INFERENCE_THREADS="1") as channel:
        for named, answers in (("", "1"), ("2", "2"), ("1", "1")):
            request = oip.ModelInferRequest(
                model_name="scale", model_version=named, raw_input_contents=[ROW.tobytes()]
            )
            request.inputs.add(name="x", datatype="FP32", shape=[1, 4])
            answer = await call(channel, "ModelInfer", request)
            assert answer.model_version == answers
            assert list(answer.raw_output_contents) == [(int(answers) * ROW).astype(np.float32).tobytes()]


def _infer(**changes: Any) -> oip.ModelInferRequest:
    request = oip.ModelInferRequest(
        model_name=changes.get("model", "scale"), raw_input_contents=[ROW.tobytes()]
    )
    request.inputs.add(name="x", datatype=changes.get("datatype", "FP32"), shape=changes.get("shape", [1, 4]))
    if "timeout" in changes:
        request.parameters["timeout"].int64_param = changes["timeout"]
    return request


def _with(change: str) -> oip.ModelInferRequest:
    request = _infer()
    if change == "two raw":
        request.raw_input_contents.append(b"")
    elif change == "raw and typed":
        request.inputs[0].contents.fp32_contents.append(1)
    elif change == "unknown output":
        request.outputs.add(name="z")
    else:
        del request.raw_input_contents[:]
        request.inputs[0].contents.int_contents.append(1)
    return request


WRONG_CALLS: list[tuple[str, Message | bytes, grpc.StatusCode]] = [
    ("ModelInfer", b"\xff\xff", grpc.StatusCode.INVALID_ARGUMENT),
    ("ServerLive", b"\x0a", grpc.StatusCode.INVALID_ARGUMENT),
    ("ModelInfer", _infer(model="no"), grpc.StatusCode.NOT_FOUND),
    ("ModelMetadata", oip.ModelMetadataRequest(name="no"), grpc.StatusCode.NOT_FOUND),
    ("ModelInfer", _infer(shape=[1, 5]), grpc.StatusCode.INVALID_ARGUMENT),
    ("ModelInfer", _infer(datatype="INT32"), grpc.StatusCode.INVALID_ARGUMENT),
    ("ModelInfer", _with("two raw"), grpc.StatusCode.INVALID_ARGUMENT),
    ("ModelInfer", _with("raw and typed"), grpc.StatusCode.INVALID_ARGUMENT),
    ("ModelInfer", _with("unknown output"), grpc.StatusCode.INVALID_ARGUMENT),
    ("ModelInfer", _with("wrong contents"), grpc.StatusCode.INVALID_ARGUMENT),
    ("ModelInfer", _infer(timeout=-1), grpc.StatusCode.INVALID_ARGUMENT),
    ("ModelInfer", _infer(timeout=1), grpc.StatusCode.DEADLINE_EXCEEDED),
]


async def test_what_a_caller_did_wrong(channel: grpc.aio.Channel) -> None:
    for name, request, status in WRONG_CALLS:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call(channel, name, request)
        assert caught.value.code() is status, (name, request)


async def test_a_caller_that_leaves_takes_no_place_in_a_batch(models: Path, tmp_path: Path) -> None:
    write_version(
        models,
        "slow",
        1,
        onnx_models.scale(1.0),
        spec="batching: {max_queue_delay_ms: 60000, max_batch_size: 2}\n",
    )
    async with running("inference", models, tmp_path / "log") as channel:
        first = asyncio.create_task(call(channel, "ModelInfer", _infer(model="slow"), timeout=20))
        await asyncio.sleep(0.1)
        first.cancel()
        two = [call(channel, "ModelInfer", _infer(model="slow"), timeout=20) for _ in range(2)]
        answers = await asyncio.wait_for(asyncio.gather(*two), 10)
        assert [list(answer.raw_output_contents) for answer in answers] == [[ROW.tobytes()]] * 2


async def test_a_new_version_displaces_the_old_one_while_requests_run_and_a_bad_one_does_not(
    channel: grpc.aio.Channel, models: Path
) -> None:
    stream = StageStream(channel, METHOD)
    await stream.state_where(lambda state: version_state(state, "1") is State.READY)
    stop = asyncio.Event()
    answered = {"1": 0, "2": 0}

    async def load() -> None:
        while not stop.is_set():
            state = stream.state
            assert state is not None
            version = max(
                model.version for model in state.models if (model.name, model.state) == ("scale", "READY")
            )
            (future,) = await stream.send("scale", version, [encode_tensors([Tensor.of("x", ROW)])])
            result = await future
            assert not result.failure.code, result.failure
            np.testing.assert_array_equal(decode_tensors(result.payload)[0].array(), ROW * int(version))
            answered[version] += 1

    workers = [asyncio.create_task(load()) for _ in range(8)]
    await asyncio.sleep(0.2)
    write_version(models, "scale", 2, onnx_models.scale(2.0), golden=golden_of({"x": ROW}, {"y": ROW * 2}))
    await stream.state_where(lambda state: version_state(state, "2") is State.READY)
    await asyncio.sleep(0.2)
    write_version(models, "scale", 3, onnx_models.scale(3.0), golden=golden_of({"x": ROW}, {"y": ROW * 4}))
    state = await stream.state_where(lambda state: version_state(state, "3") is State.UNAVAILABLE)
    await asyncio.sleep(0.2)
    stop.set()
    await asyncio.gather(*workers)
    await stream.close()
    assert min(answered.values()) > 0
    assert version_state(state, "2") is State.READY
    (reason,) = [model.reason for model in state.models if (model.name, model.version) == ("scale", "3")]
    assert "the biggest difference is 4" in reason


async def test_a_process_that_is_told_to_stop_drains_its_streams(models: Path, tmp_path: Path) -> None:
    async with running(
        "inference", models, tmp_path / "log", TRIREME_INFERENCE_DRAIN_SECONDS="0.5"
    ) as channel:
        stream = StageStream(channel, METHOD)
        await stream.state_where(lambda state: bool(state.models))
        await stream.close()
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert lines[-1]["event"] == "stopped"
    assert not [line for line in lines if line["level"] == "error"]


async def test_a_device_that_is_not_there_stops_the_service(models: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        "/usr/bin/env", f"TRIREME_INFERENCE_PORT={free_port()}", f"TRIREME_MODELS_DIR={models}",
        "TRIREME_INFERENCE_DEVICE=cuda:63", sys.executable, "-m", "trireme_inference",
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    _, errors = await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode == 2
    assert b"TRIREME_INFERENCE_DEVICE" in errors

"""The gRPC front door on a real server, asked with bytes."""

from __future__ import annotations

import asyncio

import grpc
import grpc.aio
import numpy as np
import pytest

from tests.unit.gateway.grpc_front.door import door, text_request
from tests.unit.gateway.v2.fakes import services
from trireme_common.errors import TriremeError
from trireme_gateway.catalog import Catalog
from trireme_protos.inference import grpc_service_pb2 as pb


async def test_health_and_metadata() -> None:
    async with door() as client:
        assert (await client.ask("ServerLive", pb.ServerLiveRequest(), pb.ServerLiveResponse)).live
        assert (await client.ask("ServerReady", pb.ServerReadyRequest(), pb.ServerReadyResponse)).ready
        server = await client.ask("ServerMetadata", pb.ServerMetadataRequest(), pb.ServerMetadataResponse)
        assert server.name == "trireme"
        for name, version, ready in (("echo", "1", True), ("echo", "9", False), ("absent", "", False)):
            request = pb.ModelReadyRequest(name=name, version=version)
            assert (await client.ask("ModelReady", request, pb.ModelReadyResponse)).ready is ready
        model = await client.ask(
            "ModelMetadata", pb.ModelMetadataRequest(name="sentiment"), pb.ModelMetadataResponse
        )
        assert (model.platform, model.inputs[0].datatype, list(model.inputs[0].shape)) == (
            "trireme_pipeline",
            "BYTES",
            [-1],
        )


async def test_nothing_is_ready_without_stages() -> None:
    async with door(services(models=Catalog())) as client:
        assert not (await client.ask("ServerReady", pb.ServerReadyRequest(), pb.ServerReadyResponse)).ready
        request = pb.ModelReadyRequest(name="echo")
        assert not (await client.ask("ModelReady", request, pb.ModelReadyResponse)).ready


async def test_inference_is_answered_counted_and_identified() -> None:
    async with door() as client:
        call = client.call(
            "ModelInfer", text_request(b"good").SerializeToString(), metadata=(("x-request-id", "mine"),)
        )
        response = pb.ModelInferResponse.FromString(await call)
        assert dict(await call.trailing_metadata())["x-request-id"] == "mine"
    assert (response.model_name, response.model_version, response.id) == ("sentiment", "1", "7")
    assert [output.name for output in response.outputs] == ["label", "confidence", "probabilities"]
    assert response.raw_output_contents[0] == b"\x08\0\0\0positive"
    assert np.frombuffer(response.raw_output_contents[1], "<f4").tolist() == [0.75]
    ((context, status),) = client.log
    assert (context.request_id, context.model, status) == ("mine", "sentiment", "OK")
    assert context.endpoint == "/inference.GRPCInferenceService/ModelInfer"


async def test_parameters_choose_outputs_and_classes() -> None:
    request = text_request(b"good")
    request.outputs.add(name="probabilities").parameters["classification"].int64_param = 1
    async with door() as client:
        response = await client.ask("ModelInfer", request, pb.ModelInferResponse)
    assert response.raw_output_contents[0][4:] == b"0.750000:2:positive"


@pytest.mark.parametrize(
    ("request_", "code", "said"),
    [
        (text_request(b"a", model="absent"), "NOT_FOUND", "Request for unknown model: 'absent' is not found"),
        (text_request(b"a", model="broken"), "UNAVAILABLE", "no such file"),
        (text_request(b"good", b" "), "INVALID_ARGUMENT", "item 1: the text is blank"),
        (text_request(), "INVALID_ARGUMENT", "unexpected shape"),
        (text_request(b"a", model="x" * 20_000), "NOT_FOUND", "Request for unknown model"),
        (
            text_request(b"a", parameters={"timeout": pb.InferParameter(int64_param=1)}),
            "DEADLINE_EXCEEDED",
            "time was up",
        ),
        (
            text_request(b"a", parameters={"timeout": pb.InferParameter(string_param="1")}),
            "INVALID_ARGUMENT",
            "'timeout' must be a whole number",
        ),
        (text_request(b"a" * 3000), "RESOURCE_EXHAUSTED", "larger than the limit"),
    ],
)
async def test_errors_are_statuses(request_: pb.ModelInferRequest, code: str, said: str) -> None:
    async with door(services(max_body_bytes=2048 if code == "RESOURCE_EXHAUSTED" else 1 << 20)) as client:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await client.ask("ModelInfer", request_, pb.ModelInferResponse)
    assert caught.value.code().name == code
    assert said in str(caught.value.details())
    assert client.log[0][1] == code


async def test_malformed_bytes_are_an_invalid_argument() -> None:
    async with door() as client:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await client.call("ModelInfer", b"\xff\xff\xff")
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_what_nobody_expected_tells_the_caller_only_an_id() -> None:
    def fail(_: bytes) -> bytes | TriremeError:
        raise RuntimeError("secret")

    async with door(services(infer=fail)) as client:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await client.ask("ModelInfer", text_request(b"a"), pb.ModelInferResponse)
    assert caught.value.code() is grpc.StatusCode.INTERNAL
    assert caught.value.details() == f"internal error; request id {client.log[0][0].request_id}"


async def test_the_callers_deadline_bounds_the_request() -> None:
    async def wait() -> None:
        await asyncio.sleep(30)

    async with door(services(wait=wait)) as client:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await client.ask("ModelInfer", text_request(b"a"), pb.ModelInferResponse, timeout=0.2)
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        await asyncio.wait_for(client.finished.wait(), 5)
    assert client.log[0][1] in ("DEADLINE_EXCEEDED", "CANCELLED")
    assert client.log[0][0].deadline - client.log[0][0].started <= 0.2


async def test_a_caller_that_leaves_is_counted_as_cancelled() -> None:
    started = asyncio.Event()

    async def wait() -> None:
        started.set()
        await asyncio.sleep(30)

    async with door(services(wait=wait)) as client:
        call = client.call("ModelInfer", text_request(b"a").SerializeToString())
        waiting = asyncio.ensure_future(call)
        await started.wait()
        waiting.cancel()
        await asyncio.wait_for(client.finished.wait(), 5)
    assert client.log[0][1] == "CANCELLED"

"""What the gRPC server itself says: health, reflection, and what it refuses before anything is parsed."""

from __future__ import annotations

import grpc
import grpc.aio
import pytest
from google.protobuf import descriptor_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from tests.unit.gateway.grpc_front.door import Door, door, text_request
from tests.unit.gateway.v2.fakes import services
from trireme_common.grpc_server import MAX_MESSAGE_BYTES
from trireme_gateway.grpc_front import SERVICE
from trireme_protos.inference import grpc_service_pb2 as pb

SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING


async def health(client: Door, service: str) -> int:
    stub = health_pb2_grpc.HealthStub(client.channel)
    status: int = (await stub.Check(health_pb2.HealthCheckRequest(service=service))).status
    return status


async def refused(
    client: Door, data: bytes, method: str = "ModelInfer", **keywords: object
) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await client.call(method, data, **keywords)
    return caught.value


@pytest.mark.parametrize("service", ["", "readiness", SERVICE])
async def test_health_follows_readiness(service: str) -> None:
    async with door() as client:
        assert await health(client, service) == NOT_SERVING
        await client.server.set_ready(True)
        assert await health(client, service) == SERVING
        assert await health(client, "liveness") == SERVING


async def test_health_of_a_service_that_is_not_there_is_not_found() -> None:
    async with door() as client:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await health(client, "nobody")
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


async def test_reflection_describes_the_service() -> None:
    request = reflection_pb2.ServerReflectionRequest
    questions = [request(list_services=""), request(file_containing_symbol=SERVICE)]
    async with door() as client:
        stub = reflection_pb2_grpc.ServerReflectionStub(client.channel)
        listed, described = [answer async for answer in stub.ServerReflectionInfo(iter(questions))]
    names = {service.name for service in listed.list_services_response.service}
    assert names >= {SERVICE, "grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"}
    files = [
        descriptor_pb2.FileDescriptorProto.FromString(file)
        for file in described.file_descriptor_response.file_descriptor_proto
    ]
    methods = {
        method.name: method.client_streaming
        for file in files
        for service in file.service
        for method in service.method
    }
    assert methods["ModelInfer"] is False
    assert methods["ModelStreamInfer"] is True


async def test_a_method_that_is_not_there_is_unimplemented() -> None:
    async with door() as client:
        error = await refused(client, b"", method="ModelDream")
    assert error.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_metadata_are_bounded() -> None:
    async with door() as client:
        error = await refused(
            client, text_request(b"a").SerializeToString(), metadata=(("x-large", "x" * 100_000),)
        )
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert await client.ask("ServerLive", pb.ServerLiveRequest(), pb.ServerLiveResponse)


@pytest.mark.parametrize("over", [0, 1])
async def test_the_limit_of_a_request_holds_to_the_byte(over: int) -> None:
    limit = 5000
    padding = limit - len(text_request(b"x" * 4000).SerializeToString()) + 4000 + over
    data = text_request(b"x" * padding).SerializeToString()
    assert len(data) == limit + over
    async with door(services(max_body_bytes=limit)) as client:
        if over:
            error = await refused(client, data)
            assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert f"larger than the limit of {limit} bytes" in str(error.details())
        else:
            assert pb.ModelInferResponse.FromString(await client.call("ModelInfer", data)).id == "7"


@pytest.mark.parametrize("compression", [grpc.Compression.NoCompression, grpc.Compression.Gzip])
async def test_a_message_beyond_what_grpc_takes_is_refused_packed_or_not(
    compression: grpc.Compression,
) -> None:
    async with door() as client:
        error = await refused(client, bytes(MAX_MESSAGE_BYTES + 1), compression=compression)
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert str(MAX_MESSAGE_BYTES) in str(error.details())


@pytest.mark.parametrize("compression", [grpc.Compression.Gzip, grpc.Compression.Deflate])
async def test_messages_may_be_packed(compression: grpc.Compression) -> None:
    async with door() as client:
        data = await client.call(
            "ModelInfer", text_request(b"good" * 500).SerializeToString(), compression=compression
        )
    assert pb.ModelInferResponse.FromString(data).raw_output_contents[0] == b"\x08\0\0\0positive"

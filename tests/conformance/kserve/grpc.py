"""Cases of kserve's InferenceGRPCClient."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import numpy as np

from tests.conformance.casebook import CaseBook, NotAskedError
from tests.conformance.clients import ClientEntry
from tests.conformance.kserve.client import LABELS, TEXTS, UNKNOWN, KServeClient, check_sums, sums_request
from tests.conformance.ports import closed_port
from tests.conformance.target import Target

BOOK = CaseBook()


@contextlib.asynccontextmanager
async def open_client(entry: ClientEntry, target: Target) -> AsyncIterator[KServeClient]:
    from kserve import InferenceGRPCClient

    def make(url: str = target.grpc, **options: Any) -> Any:
        return InferenceGRPCClient(url, **options)

    raw = make()
    try:
        yield KServeClient(target, raw, make)
    finally:
        await raw.close()


@BOOK.works("is_server_live", "answers true")
async def live(client: KServeClient) -> None:
    assert await client.raw.is_server_live() is True
    assert await client.raw.is_server_live(timeout=30, headers=(("x-extra", "1"),)) is True


@BOOK.works("is_server_ready", "answers true")
async def ready(client: KServeClient) -> None:
    assert await client.raw.is_server_ready() is True
    assert await client.raw.is_server_ready(timeout=None, headers=(("x-extra", "1"),)) is True


@BOOK.fails("is_server_ready", "false of a server that is not ready, which is alive")
async def not_ready(client: KServeClient) -> None:
    async with client.another(url=client.idle(client.target.idle_grpc)) as idle:
        assert await idle.is_server_live() is True
        assert await idle.is_server_ready() is False
        assert await idle.is_model_ready(client.models.sums) is False


@BOOK.fails("is_server_live", "where nobody listens")
async def live_nowhere(client: KServeClient) -> None:
    await _unreachable(client, "is_server_live")


@BOOK.fails("is_server_ready", "where nobody listens")
async def ready_nowhere(client: KServeClient) -> None:
    await _unreachable(client, "is_server_ready")


@BOOK.works("is_model_ready", "true for a model")
async def model_ready(client: KServeClient) -> None:
    assert await client.raw.is_model_ready(client.models.sums) is True


@BOOK.fails("is_model_ready", "false for an unknown model and a broken one")
async def model_not_ready(client: KServeClient) -> None:
    assert await client.raw.is_model_ready(UNKNOWN) is False
    assert await client.raw.is_model_ready(client.models.broken) is False


@BOOK.works("infer", "tensors as bytes, with an id and a version")
async def raw_tensors(client: KServeClient) -> None:
    request = sums_request(client.models.sums, request_id="question 1", model_version="1")
    response = await client.raw.infer(request)
    check_sums(response)
    assert (response.model_name, response.model_version, response.id) == (
        client.models.sums,
        "1",
        "question 1",
    )


@BOOK.works("infer", "tensors as lists of numbers (contents)")
async def contents(client: KServeClient) -> None:
    check_sums(await client.raw.infer(sums_request(client.models.sums, binary=None)))


@BOOK.works("infer", "one output of two, with parameters, headers and a time limit")
async def options(client: KServeClient) -> None:
    from kserve.protocol.infer_type import RequestedOutput

    request = sums_request(
        client.models.sums,
        request_outputs=[RequestedOutput("DIFFERENCE")],
        parameters={"colour": "red", "count": 3, "deep": True},
    )
    response = await client.raw.infer(request, timeout=30, headers=(("x-extra", "1"),))
    assert [output.name for output in response.outputs] == ["DIFFERENCE"]


@BOOK.works("infer", "BYTES as bytes and as contents")
async def texts(client: KServeClient) -> None:
    from kserve import InferInput, InferRequest

    values = np.array([b"", "好".encode(), b"a\x00b"], np.object_)
    made = InferInput("IN_STRING", [3], "BYTES")
    made.set_data_from_numpy(values)
    plain = InferInput("IN_STRING", [3], "BYTES", data=values.tolist())
    for tensor in (made, plain):
        response = await client.raw.infer(InferRequest(client.models.text, [tensor]))
        assert response.outputs[0].as_numpy().tolist() == values.tolist()


@BOOK.works("infer", "a model with pre- and postprocess: texts in, labels out")
async def pipeline(client: KServeClient) -> None:
    from kserve import InferInput, InferRequest

    if not client.models.pipeline:
        raise NotAskedError("the server has no pipeline")
    tensor = InferInput("text", [2], "BYTES", data=list(TEXTS))
    response = await client.raw.infer(InferRequest(client.models.pipeline, [tensor]))
    (label,) = (output for output in response.outputs if output.name == "label")
    assert tuple(text.decode() for text in label.as_numpy().tolist()) == LABELS


@BOOK.fails("infer", "an unknown model: the status and what was wrong")
async def unknown_model(client: KServeClient) -> None:
    await _refused(client, sums_request(UNKNOWN), "NOT_FOUND", UNKNOWN)


@BOOK.fails("infer", "a wrong input")
async def wrong_input(client: KServeClient) -> None:
    request = sums_request(client.models.sums)
    request.inputs = request.inputs[:1]
    await _refused(client, request, "INVALID_ARGUMENT", "INPUT1")


@BOOK.fails("infer", "a time limit that nobody can keep")
async def too_late(client: KServeClient) -> None:
    await _refused(client, sums_request(client.models.sums), "DEADLINE_EXCEEDED", timeout=1e-6)


@BOOK.works("close", "after which another client still works")
async def closed(client: KServeClient) -> None:
    async with client.another() as own:
        assert await own.is_server_live() is True
    assert await client.raw.is_server_live() is True


@BOOK.fails("close", "a call of a closed client")
async def asked_when_closed(client: KServeClient) -> None:
    async with client.another() as own:
        await own.close()
        try:
            answer = await own.is_server_live()
        except Exception:  # whichever the channel has for this
            return
    raise AssertionError(f"a closed client answered {answer!r}")


async def _refused(client: KServeClient, request: Any, status: str, naming: str = "", **options: Any) -> None:
    import grpc

    refused = None
    try:
        await client.raw.infer(request, **options)
    except grpc.RpcError as error:
        refused = error
    assert refused is not None, "infer was answered, and had to be refused"
    assert refused.code().name == status, refused
    assert refused.details(), refused
    assert naming in refused.details(), refused


async def _unreachable(client: KServeClient, call: str) -> None:
    import grpc

    with closed_port() as address:
        async with client.another(url=address, retries=0) as lost:
            try:
                answer = await getattr(lost, call)(timeout=10)
            except grpc.RpcError:
                return
    raise AssertionError(f"{call} was answered with {answer!r} by nobody")

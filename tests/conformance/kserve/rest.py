"""Cases of kserve's InferenceRESTClient, which speaks the protocol's versions 1 and 2."""

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
_JSON = {"accept": "application/json"}


@contextlib.asynccontextmanager
async def open_client(entry: ClientEntry, target: Target) -> AsyncIterator[KServeClient]:
    from kserve import InferenceRESTClient, RESTConfig

    def make(protocol: str = "v2", **options: Any) -> Any:
        return InferenceRESTClient(RESTConfig(protocol=protocol, **options))

    raw = make()
    try:
        yield KServeClient(target, raw, make)
    finally:
        await raw.close()


@BOOK.works("is_server_live", "v2, and v1 asking for JSON")
async def live(client: KServeClient) -> None:
    assert await client.raw.is_server_live(client.url) is True
    async with client.another(protocol="v1") as first:
        assert await first.is_server_live(client.url, headers=_JSON) is True


@BOOK.fails("is_server_live", "where nobody listens")
async def live_nowhere(client: KServeClient) -> None:
    await _unreachable(client, "is_server_live")


@BOOK.works("is_server_ready", "v2")
async def ready(client: KServeClient) -> None:
    assert await client.raw.is_server_ready(client.url, headers=_JSON, timeout=30) is True


@BOOK.fails(
    "is_server_ready", "an error of a server that is not ready, which is alive; v1: the client refuses it"
)
async def not_ready(client: KServeClient) -> None:
    from kserve.errors import UnsupportedProtocol

    idle = f"http://{client.idle(client.target.idle_http)}"
    assert await client.raw.is_server_live(idle) is True
    await _refused(client.raw.is_server_ready(idle), 503)
    assert await client.raw.is_model_ready(idle, client.models.sums) is False
    async with client.another(protocol="v1") as first:
        try:
            await first.is_server_ready(idle)
        except UnsupportedProtocol:
            return
    raise AssertionError("version 1 has no readiness of a server")


@BOOK.fails("is_server_ready", "where nobody listens")
async def ready_nowhere(client: KServeClient) -> None:
    await _unreachable(client, "is_server_ready")


@BOOK.works("is_model_ready", "v2 and v1: true for a model")
async def model_ready(client: KServeClient) -> None:
    assert await client.raw.is_model_ready(client.url, client.models.sums) is True
    async with client.another(protocol="v1") as first:
        assert await first.is_model_ready(client.url, client.models.sums) is True


@BOOK.fails("is_model_ready", "v2: false for an unknown model and a broken one; v1: an error, and false")
async def model_not_ready(client: KServeClient) -> None:
    assert await client.raw.is_model_ready(client.url, UNKNOWN) is False
    assert await client.raw.is_model_ready(client.url, client.models.broken) is False
    async with client.another(protocol="v1") as first:
        await _refused(first.is_model_ready(client.url, UNKNOWN), 404)
        assert await first.is_model_ready(client.url, client.models.broken) is False


@BOOK.works("infer", "v2: tensors as bytes, with an id")
async def raw_tensors(client: KServeClient) -> None:
    found: dict[str, str] = {}
    response = await client.raw.infer(
        client.url,
        sums_request(client.models.sums, request_id="question 1", parameters={"binary_data_output": True}),
        model_name=client.models.sums,
        headers={"x-extra": "1"},
        response_headers=found,
        timeout=30,
    )
    check_sums(response)
    assert (response.model_name, response.id) == (client.models.sums, "question 1")
    assert "inference-header-content-length" in {name.lower() for name in found}


@BOOK.works("infer", "v2: tensors as JSON, from a request and from a plain object")
async def json_tensors(client: KServeClient) -> None:
    for binary in (False, None):
        request = sums_request(client.models.sums, binary=binary)
        check_sums(await client.raw.infer(client.url, request, model_name=client.models.sums))
    content, _ = sums_request(client.models.sums, binary=False).to_rest()
    check_sums(await client.raw.infer(client.url, content, model_name=client.models.sums))


@BOOK.works("infer", "v2: one output of two, half of the outputs as bytes")
async def outputs(client: KServeClient) -> None:
    from kserve.protocol.infer_type import RequestedOutput

    wanted = [
        RequestedOutput("DIFFERENCE", {"binary_data": True}),
        RequestedOutput("SUM", {"binary_data": False}),
    ]
    for some in (wanted[:1], wanted):
        request = sums_request(client.models.sums, request_outputs=some)
        response = await client.raw.infer(client.url, request, model_name=client.models.sums)
        assert [output.name for output in response.outputs] == [output.name for output in some]
    check_sums(response)


@BOOK.works("infer", "v2: FP16 as bytes")
async def half_precision(client: KServeClient) -> None:
    from kserve import InferInput, InferRequest
    from tests.conformance.triton.infer import NUMBERS

    inputs = []
    for name, values in NUMBERS.items():
        made = InferInput(f"IN_{name}", list(values.shape), name)
        made.set_data_from_numpy(values)
        inputs.append(made)
    request = InferRequest(client.models.types, inputs, parameters={"binary_data_output": True})
    response = await client.raw.infer(client.url, request, model_name=client.models.types)
    for output in response.outputs:
        np.testing.assert_array_equal(output.as_numpy(), NUMBERS[output.name.removeprefix("OUT_")])


@BOOK.works("infer", "v1: instances of a text model, predictions in their order")
async def first_protocol(client: KServeClient) -> None:
    if not client.models.pipeline:
        raise NotAskedError("the server has no pipeline")
    async with client.another(protocol="v1") as first:
        answer = await first.infer(
            client.url,
            {"instances": list(TEXTS)},
            model_name=client.models.pipeline,
            headers={"x-extra": "1"},
        )
    assert tuple(found["label"] for found in answer["predictions"]) == LABELS


@BOOK.works("infer", "an address of one's own (is_graph_endpoint)")
async def graph(client: KServeClient) -> None:
    content, _ = sums_request(client.models.sums, binary=False).to_rest()
    address = f"{client.url}/v2/models/{client.models.sums}/infer"
    answer = await client.raw.infer(address, content, is_graph_endpoint=True)
    assert answer["model_name"] == client.models.sums


@BOOK.fails("infer", "v2: an unknown model, a wrong input: the status and what was wrong")
async def refused(client: KServeClient) -> None:
    await _refused(
        client.raw.infer(client.url, sums_request(UNKNOWN), model_name=UNKNOWN), 404, naming=UNKNOWN
    )
    request = sums_request(client.models.sums)
    request.inputs = request.inputs[:1]
    await _refused(client.raw.infer(client.url, request, model_name=client.models.sums), 400, naming="INPUT1")


@BOOK.fails("infer", "v1: an unknown model, a body that is none: the status, and the reason in the body")
async def first_protocol_refused(client: KServeClient) -> None:
    async with client.another(protocol="v1") as first:
        unknown = first.infer(client.url, {"instances": ["x"]}, model_name=UNKNOWN)
        assert UNKNOWN in (await _refused(unknown, 404)).response.text
        wrong = first.infer(client.url, {"nothing": 1}, model_name=client.models.sums)
        assert "instances" in (await _refused(wrong, 400)).response.text


@BOOK.fails("infer", "v2: a time limit that nobody can keep")
async def too_late(client: KServeClient) -> None:
    import httpx

    request = sums_request(client.models.sums)
    try:
        await client.raw.infer(client.url, request, model_name=client.models.sums, timeout=1e-6)
    except httpx.TimeoutException:
        return
    raise AssertionError("in time")


@BOOK.works("explain", "v1: a weight for each part of a text, and for each number of a row")
async def explained(client: KServeClient) -> None:
    if not client.models.pipeline:
        raise NotAskedError("the server has no pipeline")
    async with client.another(protocol="v1") as first:
        answer = await first.explain(client.url, client.models.pipeline, {"instances": list(TEXTS)})
    found = answer["explanations"]
    assert tuple(entry["label"] for entry in found) == LABELS
    assert all(entry["attributions"] for entry in found)


@BOOK.fails("explain", "v1: an unknown model, and one that has no explanations; v2: the client refuses it")
async def not_explained(client: KServeClient) -> None:
    from kserve.errors import UnsupportedProtocol

    async with client.another(protocol="v1") as first:
        await _refused(first.explain(client.url, UNKNOWN, {"instances": ["x"]}), 404)
        await _refused(first.explain(client.url, client.models.sums, {"instances": ["x"]}), 400)
    try:
        await client.raw.explain(client.url, client.models.sums, {})
    except UnsupportedProtocol:
        return
    raise AssertionError("explained by version 2")


@BOOK.works("close", "after which another client still works")
async def closed(client: KServeClient) -> None:
    async with client.another() as own:
        assert await own.is_server_live(client.url) is True
    assert await client.raw.is_server_live(client.url) is True


@BOOK.fails("close", "a call of a closed client")
async def asked_when_closed(client: KServeClient) -> None:
    async with client.another() as own:
        await own.close()
        try:
            answer = await own.is_server_live(client.url)
        except RuntimeError:
            return
    raise AssertionError(f"a closed client answered {answer!r}")


async def _refused(call: Any, status: int, naming: str = "") -> Any:
    import httpx

    answer = refused = None
    try:
        answer = await call
    except httpx.HTTPStatusError as error:
        refused = error
    assert refused is not None, f"answered with {answer!r}, and had to be refused"
    assert refused.response.status_code == status, refused
    assert naming in str(refused), refused
    return refused


async def _unreachable(client: KServeClient, call: str) -> None:
    import httpx

    with closed_port() as address:
        try:
            answer = await getattr(client.raw, call)(f"http://{address}")
        except httpx.TransportError:
            return
    raise AssertionError(f"{call} was answered with {answer!r} by nobody")

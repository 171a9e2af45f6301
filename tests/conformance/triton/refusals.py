"""`infer`, refused: each mistake has an error that the client reads, and says what was wrong."""

from __future__ import annotations

import numpy as np

from tests.conformance.casebook import CaseBook
from tests.conformance.triton.client import TritonClient, pair, sums_of
from tests.conformance.triton.infer import check_sums
from tests.conformance.triton.server import GRPC, HTTP, UNKNOWN

REFUSALS = CaseBook()
_OVER_LIMIT = 9_000_000  # FP32 elements, 34 MiB: more than a request may hold by default


@REFUSALS.fails("infer", "an unknown model, and an unknown version")
async def unknown_model(client: TritonClient) -> None:
    inputs = sums_of(client, *pair())
    await client.refused("infer", UNKNOWN, inputs, naming=UNKNOWN)
    await client.refused("infer", client.models.sums, inputs, model_version="77", naming="77")


@REFUSALS.fails("infer", "a model that could not be loaded")
async def broken_model(client: TritonClient) -> None:
    inputs = [client.tensor("x", np.ones(2, np.float32))]
    await client.not_now("infer", client.models.broken, inputs, naming=client.models.broken)


@REFUSALS.fails("infer", "an input too few, and one that the model does not have")
async def wrong_inputs(client: TritonClient) -> None:
    left, right = pair()
    await client.refused("infer", client.models.sums, [client.tensor("INPUT0", left)], naming="INPUT1")
    inputs = [*sums_of(client, left, right), client.tensor("INPUT9", right)]
    await client.refused("infer", client.models.sums, inputs, naming="INPUT9")


@REFUSALS.fails("infer", "the same input twice")
async def input_twice(client: TritonClient) -> None:
    left, _ = pair()
    inputs = [client.tensor("INPUT0", left), client.tensor("INPUT0", left)]
    await client.refused("infer", client.models.sums, inputs, naming="INPUT0")


@REFUSALS.fails("infer", "another datatype than the model's")
async def wrong_datatype(client: TritonClient) -> None:
    left, right = pair()
    inputs = [client.tensor("INPUT0", left.astype(np.int32)), client.tensor("INPUT1", right)]
    await client.refused("infer", client.models.sums, inputs, naming="INPUT0")


@REFUSALS.fails("infer", "a datatype that there is not")
async def no_datatype(client: TritonClient) -> None:
    inputs = [client.bare_tensor("x", [2], "FP99")]
    await client.refused("infer", client.models.versions, inputs)


@REFUSALS.fails("infer", "another shape than the model's")
async def wrong_shape(client: TritonClient) -> None:
    left, right = pair()
    inputs = [client.tensor("INPUT0", left[:, :3].copy()), client.tensor("INPUT1", right)]
    await client.refused("infer", client.models.sums, inputs, naming="INPUT0")
    inputs = [client.tensor("INPUT0", left.reshape(1, 2, 2)), client.tensor("INPUT1", right)]
    await client.refused("infer", client.models.sums, inputs, naming="INPUT0")


@REFUSALS.fails("infer", "data that does not fill the shape")
async def too_little_data(client: TritonClient) -> None:
    short = client.tensor("x", np.ones(3, np.float32))
    short.set_shape([5])
    await client.refused("infer", client.models.versions, [short], naming="x")


@REFUSALS.fails("infer", "an input without data")
async def no_data(client: TritonClient) -> None:
    await client.refused("infer", client.models.versions, [client.bare_tensor("x", [2], "FP32")])


@REFUSALS.fails("infer", "no input at all")
async def no_inputs(client: TritonClient) -> None:
    await client.refused("infer", client.models.versions, [], naming="x")


@REFUSALS.fails("infer", "an output that the model does not have")
async def wrong_output(client: TritonClient) -> None:
    inputs = sums_of(client, *pair())
    await client.refused(
        "infer", client.models.sums, inputs, outputs=[client.output("QUOTIENT")], naming="QUOTIENT"
    )


@REFUSALS.fails("infer", "classes of texts")
async def no_classes(client: TritonClient) -> None:
    inputs = [client.tensor("IN_STRING", np.array([b"a"], np.object_))]
    outputs = [client.output("OUT_STRING", classes=1)]
    await client.refused("infer", client.models.text, inputs, outputs=outputs)


@REFUSALS.fails("infer", "an input on which the model fails")
async def model_fails(client: TritonClient) -> None:
    await client.failed("infer", client.models.table, [client.tensor("place", np.array([0, 77], np.int64))])
    good = await client("infer", client.models.table, [client.tensor("place", np.array([3], np.int64))])
    assert good.as_numpy("entry").tolist() == [30.0]


@REFUSALS.fails("infer", "bytes that are no text, to a model of texts, unless it takes any bytes")
async def no_text(client: TritonClient) -> None:
    values = np.array([b"\xff\xfe"], np.object_)
    try:
        result = await client("infer", client.models.text, [client.tensor("IN_STRING", values)])
    except client.error as error:
        client.check_error(error, "IN_STRING")
    else:
        assert result.as_numpy("OUT_STRING").tolist() == values.tolist()


@REFUSALS.fails("infer", "a region of shared memory that nobody registered, as input and as output")
async def unknown_region(client: TritonClient) -> None:
    lying = client.bare_tensor("x", [2], "FP32").set_shared_memory("conformance_no_region", 8)
    await client.refused("infer", client.models.versions, [lying], naming="conformance_no_region")
    output = client.output("y")
    output.set_shared_memory("conformance_no_region", 8)
    inputs = [client.tensor("x", np.ones(2, np.float32))]
    await client.refused(
        "infer", client.models.versions, inputs, outputs=[output], naming="conformance_no_region"
    )


@REFUSALS.fails("infer", "a time limit in the request that nobody can keep (timeout)")
async def request_timeout(client: TritonClient) -> None:
    await client.too_late("infer", client.models.sums, sums_of(client, *pair()), timeout=1)


@REFUSALS.fails("infer", "a time limit of the client that nobody can keep (client_timeout)", *GRPC)
async def client_timeout(client: TritonClient) -> None:
    await client.too_late("infer", client.models.sums, sums_of(client, *pair()), client_timeout=1e-6)


@REFUSALS.fails("infer", "numbers in JSON that their datatype cannot hold", *HTTP)
async def out_of_range(client: TritonClient) -> None:
    await client.refused("infer", client.models.versions, [_RawInput([1e39, 0.0])], naming="x")
    await client.refused("infer", client.models.versions, [_RawInput(["one", "two"])], naming="x")


@REFUSALS.fails("infer", "a body in another content coding than it says", *HTTP)
async def wrong_coding(client: TritonClient) -> None:
    inputs = [client.tensor("x", np.ones(2, np.float32))]
    for coding in ("gzip", "deflate", "br"):
        await client.refused("infer", client.models.versions, inputs, headers={"Content-Encoding": coding})


@REFUSALS.fails("infer", "more than a request may hold, unless the server has no such limit")
async def too_large(client: TritonClient) -> None:
    values = np.zeros(_OVER_LIMIT, np.float32)
    try:
        result = await client("infer", client.models.versions, [client.tensor("x", values)])
    except client.error as error:
        client.check_error(error)
    else:
        assert len(result.as_numpy("y")) == _OVER_LIMIT


@REFUSALS.works("infer", "rightly, after all those mistakes")
async def still_right(client: TritonClient) -> None:
    left, right = pair(2)
    check_sums(await client("infer", client.models.sums, sums_of(client, left, right)), left, right)


class _RawInput:
    """An input of the HTTP client whose JSON the client would not make by itself."""

    def __init__(self, data: list[object]) -> None:
        self._data = data

    def _get_tensor(self) -> dict[str, object]:
        return {"name": "x", "shape": [len(self._data)], "datatype": "FP32", "data": self._data}

    def _get_binary_data(self) -> None:
        return None

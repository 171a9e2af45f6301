"""`infer`, answered: every form of the data, every datatype, every option."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np

from tests.conformance.casebook import CaseBook, NotAskedError
from tests.conformance.triton.client import TritonClient, pair, sums_of
from tests.conformance.triton.server import GRPC, HTTP

INFER = CaseBook()
NUMBERS = {
    "BOOL": np.array([True, False, True]),
    "UINT8": np.array([0, 1, 255], np.uint8),
    "UINT16": np.array([0, 1, 65535], np.uint16),
    "UINT32": np.array([0, 1, 2**32 - 1], np.uint32),
    "UINT64": np.array([0, 1, 2**64 - 1], np.uint64),
    "INT8": np.array([-128, 0, 127], np.int8),
    "INT16": np.array([-(2**15), 0, 2**15 - 1], np.int16),
    "INT32": np.array([-(2**31), 0, 2**31 - 1], np.int32),
    "INT64": np.array([-(2**63), 0, 2**63 - 1], np.int64),
    "FP16": np.array([-0.5, 0.0, 65504.0], np.float16),
    "FP32": np.array([-0.1, 0.0, 3.4e38], np.float32),
    "FP64": np.array([-0.1, 0.0, 1.7e308], np.float64),
}
_MANY = 32
_LARGE = 300_000  # FP32 elements, more than one frame of any transport


def check_sums(result: Any, left: Any, right: Any) -> None:
    """Whether both outputs are right."""
    np.testing.assert_array_equal(result.as_numpy("SUM"), left + right)
    np.testing.assert_array_equal(result.as_numpy("DIFFERENCE"), left - right)


def fields_of(client: TritonClient, result: Any) -> tuple[str, str, str]:
    """Model, version and id of an answer."""
    answer = result.get_response()
    if client.transport == "grpc":
        return answer.model_name, answer.model_version, answer.id
    return answer["model_name"], answer["model_version"], answer.get("id", "")


@INFER.works("infer", "no output named: all come, with the model, its version and the id of the request")
async def all_outputs(client: TritonClient) -> None:
    left, right = pair(3)
    result = await client("infer", client.models.sums, sums_of(client, left, right), request_id="question 1")
    check_sums(result, left, right)
    assert fields_of(client, result) == (client.models.sums, "1", "question 1")


@INFER.works("infer", "one output of two, and both in the other order")
async def named_outputs(client: TritonClient) -> None:
    left, right = pair(2)
    inputs = sums_of(client, left, right)
    one = await client("infer", client.models.sums, inputs, outputs=[client.output("DIFFERENCE")])
    np.testing.assert_array_equal(one.as_numpy("DIFFERENCE"), left - right)
    assert one.as_numpy("SUM") is None
    assert one.get_output("DIFFERENCE") is not None
    outputs = [client.output("DIFFERENCE"), client.output("SUM")]
    check_sums(await client("infer", client.models.sums, inputs, outputs=outputs), left, right)


@INFER.works("infer", "JSON both ways", *HTTP)
async def json_both_ways(client: TritonClient) -> None:
    left, right = pair(2)
    outputs = [client.output(name, binary=False) for name in ("SUM", "DIFFERENCE")]
    result = await client(
        "infer", client.models.sums, sums_of(client, left, right, binary=False), outputs=outputs
    )
    check_sums(result, left, right)


@INFER.works("infer", "one input as JSON and one as bytes, the outputs likewise", *HTTP)
async def mixed(client: TritonClient) -> None:
    left, right = pair(2)
    inputs = [client.tensor("INPUT0", left, binary=False), client.tensor("INPUT1", right)]
    outputs = [client.output("SUM"), client.output("DIFFERENCE", binary=False)]
    check_sums(await client("infer", client.models.sums, inputs, outputs=outputs), left, right)
    outputs = [client.output("DIFFERENCE", binary=False), client.output("SUM")]
    check_sums(await client("infer", client.models.sums, inputs[::-1], outputs=outputs), left, right)


@INFER.works("infer", "every datatype there and back as bytes, to its limits")
async def every_type(client: TritonClient) -> None:
    inputs = [client.tensor(f"IN_{name}", values) for name, values in NUMBERS.items()]
    result = await client("infer", client.models.types, inputs)
    for name, values in NUMBERS.items():
        found = result.as_numpy(f"OUT_{name}")
        assert found.dtype == values.dtype, name
        np.testing.assert_array_equal(found, values)


@INFER.works("infer", "every datatype that JSON can say there and back in it", *HTTP)
async def every_type_as_json(client: TritonClient) -> None:
    inputs = [client.tensor(f"IN_{name}", values, binary=False) for name, values in NUMBERS.items()]
    outputs = [client.output(f"OUT_{name}", binary=False) for name in NUMBERS]
    result = await client("infer", client.models.types, inputs, outputs=outputs)
    for name, values in NUMBERS.items():
        np.testing.assert_array_equal(result.as_numpy(f"OUT_{name}"), values)


@INFER.works("infer", "NaN and infinity as bytes")
async def not_finite(client: TritonClient) -> None:
    values = np.array([np.nan, np.inf, -np.inf], np.float32)
    result = await client("infer", client.models.versions, [client.tensor("x", values)])
    np.testing.assert_array_equal(result.as_numpy("y"), values * 3)


@INFER.works("infer", "BF16")
async def bfloat16(client: TritonClient) -> None:
    import ml_dtypes

    values = np.array([-0.5, 0.0, 3.0], ml_dtypes.bfloat16)
    result = await client("infer", client.models.bfloat16, [client.tensor("IN_BF16", values)])
    found = result.as_numpy("OUT_BF16")
    np.testing.assert_array_equal(found.astype(np.float32), values.astype(np.float32))


@INFER.works("infer", "BYTES: empty, long, Chinese, with zeros in it")
async def texts(client: TritonClient) -> None:
    values = np.array([b"", "这家酒店非常好".encode(), b"a\x00b", b"x" * 70_000], np.object_)
    result = await client("infer", client.models.text, [client.tensor("IN_STRING", values)])
    assert result.as_numpy("OUT_STRING").tolist() == values.tolist()


@INFER.works("infer", "BYTES as JSON strings", *HTTP)
async def texts_as_json(client: TritonClient) -> None:
    values = np.array([b"", '这家酒店非常好 "\\\n'.encode()], np.object_)
    inputs = [client.tensor("IN_STRING", values, binary=False)]
    outputs = [client.output("OUT_STRING", binary=False)]
    result = await client("infer", client.models.text, inputs, outputs=outputs)
    assert [str(text).encode() for text in result.as_numpy("OUT_STRING").tolist()] == values.tolist()


@INFER.works("infer", "a version by its number, and the newest without one")
async def named_version(client: TritonClient) -> None:
    values = np.array([1.0, 2.0], np.float32)
    for version, factor in (("1", 2), ("2", 3), ("", 3)):
        result = await client(
            "infer", client.models.versions, [client.tensor("x", values)], model_version=version
        )
        np.testing.assert_array_equal(result.as_numpy("y"), values * factor)
        assert fields_of(client, result)[1] == (version or "2")


@INFER.works("infer", "the highest classes with their labels (class_count)")
async def classes(client: TritonClient) -> None:
    left = np.array([[0.0, 3.0, 1.0, 2.0]], np.float32)
    inputs = sums_of(client, left, np.zeros((1, 4), np.float32))
    result = await client("infer", client.models.sums, inputs, outputs=[client.output("SUM", classes=2)])
    found = [entry.decode().split(":") for entry in result.as_numpy("SUM").reshape(-1)]
    assert [(float(value), place, label) for value, place, label in found] == [
        (3.0, "1", "east"),
        (2.0, "3", "west"),
    ]


@INFER.works("infer", "with a priority, a timeout, a sequence's id and parameters of one's own")
async def options(client: TritonClient) -> None:
    left, right = pair()
    result = await client(
        "infer",
        client.models.sums,
        sums_of(client, left, right),
        sequence_id=7,
        sequence_start=True,
        sequence_end=True,
        priority=1,
        timeout=20_000_000,
        headers={"x-extra": "1"},
        parameters={"colour": "red", "count": 3, "deep": True},
    )
    check_sums(result, left, right)


@INFER.works("infer", "with query parameters", *HTTP)
async def query(client: TritonClient) -> None:
    left, right = pair()
    result = await client("infer", client.models.sums, sums_of(client, left, right), query_params={"a": "b"})
    check_sums(result, left, right)


@INFER.works("infer", "gzip and deflate in both directions", *HTTP)
async def compressed(client: TritonClient) -> None:
    values = np.arange(5_000, dtype=np.float32)
    for there, back in (("gzip", "gzip"), ("deflate", "deflate"), ("gzip", None), (None, "deflate")):
        for binary in (True, False):
            result = await client(
                "infer",
                client.models.versions,
                [client.tensor("x", values, binary=binary)],
                outputs=[client.output("y", binary=binary)],
                request_compression_algorithm=there,
                response_compression_algorithm=back,
            )
            np.testing.assert_array_equal(result.as_numpy("y"), values * 3)


@INFER.works("infer", "gzip and deflate of gRPC", *GRPC)
async def compressed_messages(client: TritonClient) -> None:
    values = np.arange(5_000, dtype=np.float32)
    for algorithm in ("gzip", "deflate"):
        inputs = [client.tensor("x", values)]
        result = await client("infer", client.models.versions, inputs, compression_algorithm=algorithm)
        np.testing.assert_array_equal(result.as_numpy("y"), values * 3)


@INFER.works("infer", "within a time limit of the client", *GRPC)
async def in_time(client: TritonClient) -> None:
    left, right = pair()
    result = await client("infer", client.models.sums, sums_of(client, left, right), client_timeout=30.0)
    check_sums(result, left, right)


@INFER.works("infer", "a tensor of more than a megabyte")
async def large(client: TritonClient) -> None:
    values = np.arange(_LARGE, dtype=np.float32)
    result = await client("infer", client.models.versions, [client.tensor("x", values)])
    np.testing.assert_array_equal(result.as_numpy("y"), values * 3)


@INFER.works("infer", "a whole batch")
async def batches(client: TritonClient) -> None:
    left, right = pair(8)
    check_sums(await client("infer", client.models.sums, sums_of(client, left, right)), left, right)


@INFER.works("infer", "many at once, each its own answer", "triton-http-aio", "triton-grpc-aio")
async def at_once(client: TritonClient) -> None:
    pairs = [pair(1 + number % 3, start=number) for number in range(_MANY)]
    results = await asyncio.gather(
        *(client("infer", client.models.sums, sums_of(client, left, right)) for left, right in pairs)
    )
    for (left, right), result in zip(pairs, results, strict=True):
        check_sums(result, left, right)


@INFER.works("infer", "a model with pre- and postprocess: texts in, labels and scores out")
async def pipeline(client: TritonClient) -> None:
    if not client.models.pipeline:
        raise NotAskedError("the server has no pipeline")
    values = np.array(["这家酒店非常好，服务热情".encode(), "质量太差了，非常失望".encode()], np.object_)
    metadata = await client.plain("get_model_metadata", client.models.pipeline)
    name = metadata["inputs"][0]["name"]
    result = await client("infer", client.models.pipeline, [client.tensor(name, values)])
    assert [label.decode() for label in result.as_numpy("label")] == ["正面", "负面"]
    np.testing.assert_allclose(result.as_numpy("probabilities").sum(axis=1), 1, rtol=1e-5)

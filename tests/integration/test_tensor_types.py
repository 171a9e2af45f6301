"""Every datatype in every form through the whole platform, and tensors as large as the limit allows."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator

import grpc
import httpx
import numpy as np
import pytest
from onnx import TensorProto

from tests.support.every_type import (
    ENDS,
    KINDS,
    TOGETHER,
    call,
    grpc_request,
    infer,
    rest_body,
    rest_outputs,
    tensors,
)
from tests.support.onnx_models import echo, write_version
from tests.support.platform import Platform, platform
from trireme_common.oip_contents import FIELDS
from trireme_common.tensors import decode_bytes, encode_bytes
from trireme_protos.inference import grpc_service_pb2 as pb

LIMIT = 8 * 1024 * 1024
NO_NUMBER = {"FP16": np.float16, "FP32": np.float32, "FP64": np.float64}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    folder = tmp_path_factory.mktemp("types")
    models = folder / "models"
    models.mkdir()
    write_version(models, "types", 1, echo({name: KINDS[name] for name in TOGETHER}, [1, "K"]))
    write_version(models, "typed", 1, echo({name: KINDS[name] for name in FIELDS}, [1, "K"]))
    write_version(models, "halves", 1, echo({name: KINDS[name] for name in HALVES}, [1, "K"]))
    write_version(models, "scalar", 1, echo({"x": TensorProto.FLOAT}, []))
    write_version(models, "large", 1, echo({"x": TensorProto.UINT8}, [1, "K"]))
    write_version(models, "text", 1, echo({"x": TensorProto.STRING}, ["N"]))
    settings = {"TRIREME_GATEWAY_MAX_BODY_BYTES": str(LIMIT), "TRIREME_INFERENCE_ISOLATION": "thread"}
    with platform(models, folder, "--redis", "off", **settings) as started:
        yield started


@pytest.fixture
def client(running: Platform) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=running.url, timeout=30) as opened:
        yield opened


@pytest.fixture
def channel(running: Platform) -> Iterator[grpc.Channel]:
    options = (("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1))
    with grpc.insecure_channel(running.grpc, options=options) as opened:
        yield opened


HALVES = ("BF16", "FP16", "FP32")
EVERY = set(TOGETHER)
ODD = set(TOGETHER[::2])


@pytest.mark.parametrize("count", [2, 0])
@pytest.mark.parametrize(
    ("binary_in", "binary_out"),
    [(EVERY, EVERY), (set(), set()), (ODD, EVERY - ODD), (EVERY - ODD, ODD)],
    ids=["binary", "json", "mixed", "mixed the other way"],
)
def test_rest_takes_and_gives_every_type_in_every_form(
    client: httpx.Client, binary_in: set[str], binary_out: set[str], count: int
) -> None:
    found = tensors(count=count)
    outputs = rest_outputs(infer(client, "types", *rest_body(found, binary_in, binary_out)))
    for tensor in found:
        expected = tensor.data if tensor.name in binary_out else ENDS[tensor.name][:count]
        assert outputs[f"{tensor.name}_out"] == expected, tensor.name


@pytest.mark.parametrize("count", [2, 0])
def test_bfloat16_passes_as_bytes_beside_json(client: httpx.Client, count: int) -> None:
    found = tensors(HALVES, count)
    outputs = rest_outputs(infer(client, "halves", *rest_body(found, {"BF16"}, {"BF16"})))
    assert outputs == {"BF16_out": found[0].data, "FP16_out": [-0.5, 65504][:count]} | {
        "FP32_out": ENDS["FP32"][:count]
    }
    for binary_in, binary_out in ((set[str](), {"BF16"}), ({"BF16"}, set[str]())):
        refused = infer(client, "halves", *rest_body(found, binary_in, binary_out))
        assert (refused.status_code, "no JSON form" in refused.json()["error"]) == (400, True)


@pytest.mark.parametrize("count", [2, 0])
@pytest.mark.parametrize(("model", "names"), [("types", TOGETHER), ("halves", HALVES)])
def test_grpc_takes_and_gives_every_type_as_raw_contents(
    channel: grpc.Channel, model: str, names: tuple[str, ...], count: int
) -> None:
    found = tensors(names, count)
    answer = call(channel, grpc_request(model, found))
    assert [output.datatype for output in answer.outputs] == list(names)
    assert list(answer.raw_output_contents) == [tensor.data for tensor in found]


def test_grpc_takes_every_type_that_has_them_as_typed_contents(channel: grpc.Channel) -> None:
    found = tensors(FIELDS)
    answer = call(channel, grpc_request("typed", found, typed=True))
    assert list(answer.raw_output_contents) == [tensor.data for tensor in found]


def test_no_numbers_pass_as_bytes_and_json_says_that_it_cannot(client: httpx.Client) -> None:
    found = [
        tensor._replace(data=np.array([np.nan, -np.inf], NO_NUMBER[tensor.name]).tobytes())
        if tensor.name in NO_NUMBER
        else tensor
        for tensor in tensors()
    ]
    outputs = rest_outputs(infer(client, "types", *rest_body(found, EVERY, EVERY)))
    assert [outputs[f"{tensor.name}_out"] for tensor in found] == [tensor.data for tensor in found]
    refused = infer(client, "types", *rest_body(found, EVERY, EVERY - {"FP32"}))
    assert refused.status_code == 400
    assert refused.json()["error"] == (
        "output 'FP32_out' holds NaN or infinity, which JSON cannot say; ask for it with the parameter "
        "binary_data: true"
    )


def test_a_scalar_has_no_dimensions(client: httpx.Client, channel: grpc.Channel) -> None:
    entry = {"name": "x", "datatype": "FP32", "shape": [], "data": [2.5]}
    response = client.post("/v2/models/scalar/infer", json={"inputs": [entry]})
    (output,) = response.json()["outputs"]
    assert (output["shape"], output["data"]) == ([], [2.5])
    request = pb.ModelInferRequest(model_name="scalar")
    request.inputs.add(name="x", datatype="FP32").contents.fp32_contents.append(2.5)
    answer = call(channel, request)
    assert (list(answer.outputs[0].shape), answer.raw_output_contents[0]) == (
        [],
        np.float32(2.5).tobytes(),
    )


def test_an_element_of_bytes_may_be_long(client: httpx.Client) -> None:
    texts = ["长" * 1_000_000, "b" * 2_000_000]
    entry = {"name": "x", "datatype": "BYTES", "shape": [2], "data": texts}
    response = client.post(
        "/v2/models/text/infer", content=json.dumps({"inputs": [entry]}, ensure_ascii=False)
    )
    assert response.json()["outputs"][0]["data"] == texts
    data = encode_bytes(text.encode() for text in texts)
    raw = {"name": "x", "datatype": "BYTES", "shape": [2], "parameters": {"binary_data_size": len(data)}}
    head = json.dumps({"inputs": [raw], "parameters": {"binary_data_output": True}}).encode()
    response = infer(client, "text", head + data, len(head))
    length = int(response.headers["inference-header-content-length"])
    assert decode_bytes("y", response.content[length:]) == [text.encode() for text in texts]


def test_bytes_that_are_no_text_are_the_callers_fault(client: httpx.Client) -> None:
    data = encode_bytes((b"\xff\xfe",))
    raw = {"name": "x", "datatype": "BYTES", "shape": [1], "parameters": {"binary_data_size": len(data)}}
    head = json.dumps({"inputs": [raw]}).encode()
    refused = infer(client, "text", head + data, len(head))
    assert (refused.status_code, "UTF-8" in refused.json()["error"]) == (400, True)


def test_a_raw_body_needs_no_json(client: httpx.Client) -> None:
    response = infer(client, "large", b"\x07", 0)
    length = int(response.headers["inference-header-content-length"])
    assert response.content[length:] == b"\x07"


@pytest.mark.parametrize("over", [0, 1])
@pytest.mark.parametrize("packed", [False, True])
def test_rest_takes_a_body_of_the_limit_and_none_larger(
    client: httpx.Client, packed: bool, over: int
) -> None:
    def head(count: int) -> bytes:
        entry = {
            "name": "x",
            "datatype": "UINT8",
            "shape": [1, count],
            "parameters": {"binary_data_size": count},
        }
        return json.dumps({"inputs": [entry], "parameters": {"binary_data_output": True}}).encode()

    count = LIMIT - len(head(LIMIT)) + over
    body = head(count) + bytes(count)
    assert len(body) == LIMIT + over
    length = len(head(count))
    headers = {"content-encoding": "gzip"} if packed else {}
    response = infer(client, "large", gzip.compress(body, 1) if packed else body, length, **headers)
    if over:
        assert response.status_code == 413
        assert f"larger than the limit of {LIMIT} bytes" in response.json()["error"]
    else:
        assert response.status_code == 200
        assert response.content.endswith(bytes(count))


@pytest.mark.parametrize("over", [0, 1])
@pytest.mark.parametrize("compression", [grpc.Compression.NoCompression, grpc.Compression.Gzip])
def test_grpc_takes_a_message_of_the_limit_and_none_larger(
    channel: grpc.Channel, compression: grpc.Compression, over: int
) -> None:
    def request(count: int) -> pb.ModelInferRequest:
        made = pb.ModelInferRequest(model_name="large", raw_input_contents=[bytes(count)])
        made.inputs.add(name="x", datatype="UINT8", shape=[1, count])
        return made

    count = 2 * LIMIT - request(LIMIT).ByteSize() + over
    assert request(count).ByteSize() == LIMIT + over
    if not over:
        answer = call(channel, request(count), compression=compression)
        assert answer.raw_output_contents[0] == bytes(count)
        return
    with pytest.raises(grpc.RpcError) as caught:
        call(channel, request(count), compression=compression)
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert f"larger than the limit of {LIMIT} bytes" in caught.value.details()


def test_what_a_stream_gives_is_the_same(channel: grpc.Channel) -> None:
    found = tensors()
    stream = channel.stream_stream("/inference.GRPCInferenceService/ModelStreamInfer", None, None)
    request = grpc_request("types", found)
    for data in stream(iter([request.SerializeToString()] * 3)):
        answer = pb.ModelStreamInferResponse.FromString(data)
        assert not answer.error_message
        assert list(answer.infer_response.raw_output_contents) == [tensor.data for tensor in found]

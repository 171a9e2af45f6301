"""Items as requests, read back the way a server reads them."""

from __future__ import annotations

import json
import struct
from base64 import b64decode
from typing import Any

import numpy as np
import pytest

from trireme_cli.failure import UsageFailure
from trireme_cli.loadtest.form import Form
from trireme_cli.loadtest.wire_forms import Requests
from trireme_cli.predict.items import BadItem, Item, Origin, PictureItem, RowItem, TextItem
from trireme_protos.inference.grpc_service_pb2 import ModelInferRequest

HERE = Origin(1)
TEXT, ROW = TextItem(HERE, "好"), RowItem(HERE, (1.0, 2.5))
PICTURE = PictureItem(HERE, None, "image/png", b"\x89PNG\xff")
BYTES = [{"name": "text", "datatype": "BYTES", "shape": [-1]}]
NUMBERS = [{"name": "features", "datatype": "FP64", "shape": [-1, -1]}]


def made(form: Form, item: Item, inputs: Any = ()) -> tuple[str, dict[str, str], bytes]:
    """Target, headers and body of the request for `item`."""
    (request,) = Requests("m/1", "host:80", "/at", {"x-key": "k"}).of_items(form, [item], inputs)
    head, _, body = request.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    assert (headers["host"], headers["x-key"]) == ("host:80", "k")
    assert int(headers["content-length"]) == len(body)
    return first.split(" ")[1], headers, body


@pytest.mark.parametrize(
    ("item", "kind", "body"),
    [
        (TEXT, "text/plain", "好".encode()),
        (PICTURE, "image/png", PICTURE.data),
        (ROW, "application/json", b"[1.0,2.5]"),
    ],
)
def test_the_raw_item(item: Item, kind: str, body: bytes) -> None:
    target, headers, sent = made(Form.PREDICT, item)
    assert (target, headers["content-type"], sent) == ("/at/v1/models/m%2F1/predict", kind, body)


def test_instances() -> None:
    target, _, body = made(Form.V1, TEXT)
    assert (target, json.loads(body)) == ("/at/v1/models/m%2F1:predict", {"instances": ["好"]})
    assert json.loads(made(Form.V1, ROW)[2]) == {"instances": [[1.0, 2.5]]}
    (instance,) = json.loads(made(Form.V1, PICTURE)[2])["instances"]
    assert b64decode(instance["b64"]) == PICTURE.data


def test_v2_json() -> None:
    target, _, body = made(Form.V2_JSON, TEXT, BYTES)
    assert target == "/at/v2/models/m%2F1/infer"
    tensor = {"name": "text", "datatype": "BYTES", "shape": [1], "data": ["好"]}
    assert json.loads(body) == {"inputs": [tensor]}
    (numbers,) = json.loads(made(Form.V2_JSON, ROW, NUMBERS)[2])["inputs"]
    assert (numbers["shape"], numbers["data"]) == ([1, 2], [1.0, 2.5])
    with pytest.raises(UsageFailure, match="v2-binary"):
        made(Form.V2_JSON, PICTURE, BYTES)


def test_v2_binary() -> None:
    _, headers, body = made(Form.V2_BINARY, PICTURE, BYTES)
    at = int(headers["inference-header-content-length"])
    (tensor,) = json.loads(body[:at])["inputs"]
    assert (tensor["shape"], tensor["parameters"]) == ([1], {"binary_data_size": 9})
    assert body[at:] == struct.pack("<I", 5) + PICTURE.data
    _, headers, body = made(Form.V2_BINARY, ROW, NUMBERS)
    assert np.frombuffer(body[int(headers["inference-header-content-length"]) :], "<f8").tolist() == [
        1.0,
        2.5,
    ]


def test_grpc() -> None:
    (request,) = Requests("m/1", "host", "", {}).of_items(Form.GRPC, [ROW], NUMBERS)
    message = ModelInferRequest.FromString(request)
    (tensor,) = message.inputs
    assert (message.model_name, tensor.name, tensor.datatype) == ("m/1", "features", "FP64")
    assert list(tensor.shape) == [1, 2]
    assert np.frombuffer(message.raw_input_contents[0], "<f8").tolist() == [1.0, 2.5]


def test_samples_of_a_model_with_several_tensors() -> None:
    inputs = [
        {"name": "ids", "datatype": "INT32", "shape": [-1, -1]},
        {"name": "mask", "datatype": "BOOL", "shape": [-1, 4]},
    ]
    first, second = Requests("m", "h", "", {}).of_samples(Form.V2_JSON, 2, inputs)
    assert first != second
    ids, mask = json.loads(first.partition(b"\r\n\r\n")[2])["inputs"]
    assert (ids["shape"], len(ids["data"]), mask["shape"]) == ([1, 8], 8, [1, 4])


def test_what_cannot_be_sent() -> None:
    with pytest.raises(UsageFailure, match="no number"):
        made(Form.PREDICT, BadItem(HERE, "invalid_argument", "no number"))
    with pytest.raises(UsageFailure, match="2 tensors"):
        made(Form.V2_JSON, TEXT, [*BYTES, *NUMBERS])

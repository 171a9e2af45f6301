"""A tensor of every datatype, and requests that carry them in every form the protocol has."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import grpc
import httpx
import numpy as np
from onnx import TensorProto

from trireme_common.oip_contents import FIELDS
from trireme_common.tensors import Tensor, encode_bytes
from trireme_protos.inference import grpc_service_pb2 as pb

KINDS: dict[str, int] = {
    "BOOL": TensorProto.BOOL,
    "UINT8": TensorProto.UINT8,
    "UINT16": TensorProto.UINT16,
    "UINT32": TensorProto.UINT32,
    "UINT64": TensorProto.UINT64,
    "INT8": TensorProto.INT8,
    "INT16": TensorProto.INT16,
    "INT32": TensorProto.INT32,
    "INT64": TensorProto.INT64,
    "FP16": TensorProto.FLOAT16,
    "FP32": TensorProto.FLOAT,
    "FP64": TensorProto.DOUBLE,
    "BF16": TensorProto.BFLOAT16,
    "BYTES": TensorProto.STRING,
}
TOGETHER = tuple(name for name in KINDS if name != "BF16")
"""Those that one ONNX model can have: no bfloat16 beside strings."""
ENDS: dict[str, list[Any]] = {
    "BOOL": [True, False],
    "UINT8": [0, 2**8 - 1],
    "UINT16": [0, 2**16 - 1],
    "UINT32": [0, 2**32 - 1],
    "UINT64": [0, 2**64 - 1],
    "INT8": [-(2**7), 2**7 - 1],
    "INT16": [-(2**15), 2**15 - 1],
    "INT32": [-(2**31), 2**31 - 1],
    "INT64": [-(2**63), 2**63 - 1],
    "FP16": [-0.5, 65504.0],
    "FP32": [-1.5e-38, 3.25e38],
    "FP64": [5e-324, 1.7e308],
    "BF16": [0x3F80, 0xFF7F],
    "BYTES": ["中文", ""],
}
"""Two values of each, at the ends of what it can say where it has any; BF16 by its bits."""


def tensors(names: Iterable[str] = TOGETHER, count: int = 2) -> list[Tensor]:
    """One of each datatype, [1, count]."""
    return [Tensor(name, name, (1, count), encoded(name, ENDS[name][:count])) for name in names]


def encoded(datatype: str, values: list[Any]) -> bytes:
    if datatype == "BYTES":
        return encode_bytes(value.encode() for value in values)
    array = Tensor(datatype, datatype, (0,), b"").array()
    return np.array(values, dtype=array.dtype).tobytes()


def rest_body(found: Iterable[Tensor], binary_in: set[str], binary_out: set[str]) -> tuple[bytes, int]:
    """The body and the length of its JSON."""
    inputs, outputs, blobs = [], [], []
    for tensor in found:
        entry: dict[str, Any] = {
            "name": tensor.name,
            "datatype": tensor.datatype,
            "shape": list(tensor.shape),
        }
        if tensor.name in binary_in:
            entry["parameters"] = {"binary_data_size": len(tensor.data)}
            blobs.append(tensor.data)
        else:
            entry["data"] = ENDS[tensor.datatype][: tensor.shape[1]]
        inputs.append(entry)
        binary = {"binary_data": tensor.name in binary_out}
        outputs.append({"name": f"{tensor.name}_out", "parameters": binary})
    head = json.dumps({"inputs": inputs, "outputs": outputs}).encode()
    return b"".join((head, *blobs)), len(head)


def rest_outputs(response: httpx.Response) -> dict[str, Any]:
    """Bytes of those that came as bytes, the data of the others, by name; each [1, K]."""
    length = int(response.headers.get("inference-header-content-length", len(response.content)))
    found: dict[str, Any] = {}
    place = length
    for output in json.loads(response.content[:length])["outputs"]:
        assert output["shape"][0] == 1
        if "data" in output:
            found[output["name"]] = output["data"]
        else:
            size = output["parameters"]["binary_data_size"]
            found[output["name"]] = response.content[place : place + size]
            place += size
    assert place == len(response.content)
    return found


def infer(client: httpx.Client, model: str, body: bytes, length: int, **headers: str) -> httpx.Response:
    headers["inference-header-content-length"] = str(length)
    return client.post(f"/v2/models/{model}/infer", content=body, headers=headers)


def grpc_request(model: str, found: Iterable[Tensor], *, typed: bool = False) -> pb.ModelInferRequest:
    request = pb.ModelInferRequest(model_name=model)
    for tensor in found:
        entry = request.inputs.add(name=tensor.name, datatype=tensor.datatype, shape=tensor.shape)
        if not typed:
            request.raw_input_contents.append(tensor.data)
            continue
        values = [
            value.encode() if isinstance(value, str) else value
            for value in ENDS[tensor.datatype][: tensor.shape[1]]
        ]
        getattr(entry.contents, FIELDS[tensor.datatype]).extend(values)
    return request


def call(channel: grpc.Channel, request: pb.ModelInferRequest, **keywords: Any) -> pb.ModelInferResponse:
    method = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer", None, None)
    return pb.ModelInferResponse.FromString(method(request.SerializeToString(), timeout=30, **keywords))

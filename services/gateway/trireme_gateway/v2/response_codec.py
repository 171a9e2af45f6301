"""InferResponse -> REST body: JSON, with the outputs that were asked for as bytes behind it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson

from trireme_common.tensors import Data, Tensor
from trireme_gateway.v2.json_codec import encode_json
from trireme_gateway.v2.requests import InferRequest, InferResponse
from trireme_gateway.v2.shared_memory import Place, place_parameters


@dataclass(frozen=True, slots=True)
class Encoded:
    """A body; `json_length` is None where it is JSON from end to end."""

    body: bytes
    json_length: int | None = None


def encode_response(request: InferRequest, response: InferResponse) -> Encoded:
    """Raises TriremeError(INVALID_ARGUMENT) where an output cannot be said in JSON."""
    blobs: list[Data] = []
    outputs = []
    for tensor in response.outputs:
        place = response.places.get(tensor.name)
        binary = place is None and request.wants_binary(tensor.name)
        outputs.append(_output(tensor, binary, place))
        if binary:
            blobs.append(tensor.data)
    content = {"model_name": response.model_name, "model_version": response.model_version}
    if response.id:
        content["id"] = response.id
    head = orjson.dumps({**content, "outputs": outputs}, option=orjson.OPT_SERIALIZE_NUMPY)
    return Encoded(b"".join((head, *blobs)), len(head)) if blobs else Encoded(head)


def _output(tensor: Tensor, binary: bool, place: Place | None) -> dict[str, Any]:
    form = {"name": tensor.name, "datatype": tensor.datatype, "shape": tensor.shape}
    if place is not None:
        return {**form, "parameters": place_parameters(place, tensor)}
    if binary:
        return {**form, "parameters": {"binary_data_size": len(tensor.data)}}
    return {**form, "data": encode_json(tensor)}

"""Items as whole requests, in each form that the gateway takes."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

import numpy as np
import numpy.typing as npt
import orjson

from trireme_cli.failure import Failure, UsageFailure
from trireme_cli.loadtest.form import Form
from trireme_cli.loadtest.http import build_request
from trireme_cli.loadtest.samples import tensor
from trireme_cli.predict.items import BadItem, Item, PictureItem, RowItem, TextItem
from trireme_protos.inference.grpc_service_pb2 import ModelInferRequest

Tensors = Sequence[Mapping[str, Any]]
"""`name`, `datatype`, `shape` of each input, as /v2/models/NAME says them."""
Values = npt.NDArray[Any]
"""BYTES are an array of objects."""


class Requests:
    """Makes requests for one model at one address. `headers` go with each."""

    def __init__(self, model: str, host: str, prefix: str, headers: Mapping[str, str]) -> None:
        self._name, self._model = model, quote(model, safe="")
        self._host = host
        self._prefix = prefix
        self._headers = headers

    def of_items(self, form: Form, items: Sequence[Item], inputs: Tensors) -> list[bytes]:
        """A request an item. Raises Failure for an item that cannot be sent."""
        for item in items:
            if isinstance(item, BadItem):
                raise UsageFailure(f"input {item.origin.input}: {item.detail}")
        make: Callable[[Item], bytes]
        if form is Form.PREDICT:
            make = self._raw
        elif form is Form.V1:
            make = self._instance
        else:
            if len(inputs) != 1:
                raise UsageFailure(f"the model takes {len(inputs)} tensors, not an item: leave INPUT out")
            name = str(inputs[0]["name"])

            def make(item: Item) -> bytes:
                return self.of_tensors(form, {name: _as_tensor(item, inputs[0])})

        return [make(item) for item in items]

    def of_samples(self, form: Form, number: int, inputs: Tensors) -> list[bytes]:
        """Requests with made-up tensors. Raises Failure where none can be made."""
        try:
            made = [
                {
                    str(given["name"]): (
                        str(given["datatype"]),
                        tensor(given["datatype"], given["shape"], count),
                    )
                    for given in inputs
                }
                for count in range(number)
            ]
        except ValueError as error:
            raise Failure(str(error)) from error
        return [self.of_tensors(form, tensors) for tensors in made]

    def of_tensors(self, form: Form, tensors: Mapping[str, tuple[str, Values]]) -> bytes:
        """One v2 request of named tensors with their datatypes."""
        if form is Form.GRPC:
            return self._message(tensors)
        described, contents = [], []
        binary = form is Form.V2_BINARY
        for name, (datatype, values) in tensors.items():
            entry: dict[str, Any] = {"name": name, "datatype": datatype, "shape": list(values.shape)}
            if binary:
                contents.append(_encoded(values))
                entry["parameters"] = {"binary_data_size": len(contents[-1])}
            else:
                entry["data"] = _listed(values)
            described.append(entry)
        document: dict[str, Any] = {"inputs": described}
        if not binary:
            return self._post("/v2/models/{}/infer", "application/json", orjson.dumps(document))
        head = orjson.dumps({**document, "parameters": {"binary_data_output": True}})
        length = {"inference-header-content-length": str(len(head))}
        body = b"".join((head, *contents))
        return self._post("/v2/models/{}/infer", "application/octet-stream", body, length)

    def _message(self, tensors: Mapping[str, tuple[str, Values]]) -> bytes:
        message = ModelInferRequest(model_name=self._name)
        for name, (datatype, values) in tensors.items():
            message.inputs.add(name=name, datatype=datatype, shape=values.shape)
            message.raw_input_contents.append(_encoded(values))
        return message.SerializeToString()

    def _raw(self, item: Item) -> bytes:
        match item:
            case TextItem():
                kind, body = "text/plain", item.text.encode()
            case PictureItem():
                kind, body = item.content_type, _picture(item)
            case RowItem():
                kind, body = "application/json", orjson.dumps(item.numbers)
        return self._post("/v1/models/{}/predict", kind, body)

    def _instance(self, item: Item) -> bytes:
        match item:
            case TextItem():
                instance: Any = item.text
            case PictureItem():
                instance = {"b64": b64encode(_picture(item)).decode()}
            case RowItem():
                instance = item.numbers
        return self._post(
            "/v1/models/{}:predict", "application/json", orjson.dumps({"instances": [instance]})
        )

    def _post(self, path: str, kind: str, body: bytes, more: Mapping[str, str] | None = None) -> bytes:
        target = self._prefix + path.format(self._model)
        headers = {**self._headers, **(more or {})}
        return build_request(target, kind, body, host=self._host, headers=headers)


def _as_tensor(item: Item, given: Mapping[str, Any]) -> tuple[str, Values]:
    datatype = str(given["datatype"])
    match item:
        case TextItem():
            return "BYTES", _one(item.text.encode(), given)
        case PictureItem():
            return "BYTES", _one(_picture(item), given)
        case RowItem():
            kind = {"FP32": np.float32, "FP64": np.float64}.get(datatype, np.float64)
            return datatype, np.array([item.numbers], kind)
    raise UsageFailure("an item that cannot be sent")


def _sample(given: Mapping[str, Any], number: int) -> tuple[str, Values]:
    datatype = str(given["datatype"])
    return datatype, tensor(datatype, given["shape"], number)


def _one(value: bytes, given: Mapping[str, Any]) -> Values:
    return np.array([value], object).reshape([1] * len(given["shape"]))


def _picture(item: PictureItem) -> bytes:
    try:
        return item.read()
    except OSError as error:
        raise UsageFailure(f"{item.path} cannot be read: {error.strerror}") from error


def _encoded(values: Values) -> bytes:
    """The protocol's binary form: little endian, row by row; BYTES with their length before each."""
    if values.dtype == object:
        return b"".join(len(value).to_bytes(4, "little") + value for value in values.ravel())
    return values.tobytes()


def _listed(values: Values) -> list[Any]:
    flat: list[Any] = values.ravel().tolist()
    if values.dtype != object:
        return flat
    try:
        return [value.decode() for value in flat]
    except UnicodeDecodeError as error:
        raise UsageFailure("pictures are no JSON strings; --protocol v2-binary carries them") from error

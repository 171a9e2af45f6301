"""REST body -> InferRequest: JSON, with the data of any input in it or as bytes behind it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trireme_common.errors import Code, TriremeError
from trireme_common.tensors import Tensor
from trireme_gateway.json_body import parse_json
from trireme_gateway.v2.binary_codec import BinaryReader, decode_binary, split_body
from trireme_gateway.v2.json_codec import decode_json
from trireme_gateway.v2.requests import InferRequest, Parameter, Parameters, RequestedOutput
from trireme_gateway.v2.shared_memory import NO_SHARED_INPUTS, SharedInputs, place_of


def decode_request(
    body: bytes, header_length: str | None = None, shared: SharedInputs = NO_SHARED_INPUTS
) -> InferRequest:
    """`header_length` is the header `Inference-Header-Content-Length` as it came, None where it is absent;
    `shared` reads the inputs that lie in shared memory.

    Unknown keys and parameters are ignored. Raises TriremeError(INVALID_ARGUMENT), and what `shared` raises.
    """
    head, tail = split_body(body, header_length)
    content = parse_json(head)
    if not isinstance(content, dict):
        raise _invalid("the body must be a JSON object with 'inputs'")
    reader = BinaryReader(tail)
    inputs = tuple(_input(entry, reader, shared) for entry in _objects(content, "inputs"))
    reader.finish()
    outputs = tuple(_output(entry) for entry in _objects(content, "outputs", optional=True))
    request_id = content.get("id") or ""
    if not isinstance(request_id, str):
        raise _invalid("'id' must be a string")
    return InferRequest(inputs, outputs, _parameters(content, "the request"), request_id)


def _input(entry: Mapping[str, Any], reader: BinaryReader, shared: SharedInputs) -> Tensor:
    name = _name(entry, "input")
    datatype = entry.get("datatype")
    shape = entry.get("shape")
    if not isinstance(datatype, str):
        raise _invalid(f"input '{name}': 'datatype' must be a string")
    if not isinstance(shape, list) or not set(map(type, shape)) <= {int}:
        raise _invalid(f"input '{name}': 'shape' must be a list of whole numbers")
    parameters = _parameters(entry, f"input '{name}'")
    place = place_of(parameters, f"input '{name}'") if parameters else None
    if place is not None:
        if entry.get("data") is not None or "binary_data_size" in parameters:
            raise _invalid(
                f"input '{name}': Input must set only one of the following fields: 'data', "
                "'binary_data_size' in 'parameters', 'shared_memory_region' in 'parameters'"
            )
        return decode_binary(name, datatype, shape, shared.take(place))
    if "binary_data_size" in parameters:
        if entry.get("data") is not None:
            raise _invalid(f"input '{name}': has both 'data' and the parameter binary_data_size")
        return decode_binary(name, datatype, shape, reader.take(name, parameters["binary_data_size"]))
    if "data" not in entry:
        raise _invalid(f"input '{name}': has neither 'data' nor the parameter binary_data_size")
    return decode_json(name, datatype, shape, entry["data"])


def _output(entry: Mapping[str, Any]) -> RequestedOutput:
    name = _name(entry, "output")
    return RequestedOutput(name, _parameters(entry, f"output '{name}'"))


def _objects(content: Mapping[str, Any], key: str, *, optional: bool = False) -> list[Mapping[str, Any]]:
    entries = content.get(key)
    if entries is None and optional:
        return []
    if not isinstance(entries, list) or not set(map(type, entries)) <= {dict}:
        raise _invalid(f"'{key}' must be a list of objects")
    return entries


def _name(entry: Mapping[str, Any], kind: str) -> str:
    name = entry.get("name")
    if not isinstance(name, str) or not name:
        raise _invalid(f"every {kind} needs a 'name', a string that is not empty")
    return name


def _parameters(entry: Mapping[str, Any], where: str) -> Parameters:
    parameters = entry.get("parameters")
    if parameters is None:
        return {}
    if not isinstance(parameters, dict):
        raise _invalid(f"{where}: 'parameters' must be an object")
    return {key: _parameter(key, value, where) for key, value in parameters.items()}


def _parameter(key: str, value: Any, where: str) -> Parameter:
    if not isinstance(value, bool | int | float | str):
        raise _invalid(f"{where}: parameter '{key}' must be a string, a number or a boolean")
    return value


def _invalid(detail: str) -> TriremeError:
    return TriremeError(Code.INVALID_ARGUMENT, detail)

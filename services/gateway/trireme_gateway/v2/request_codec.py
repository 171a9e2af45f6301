"""REST body -> InferRequest: JSON, with the data of any input in it or as bytes behind it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from trireme_common.errors import Code, TriremeError
from trireme_common.tensors import Tensor
from trireme_gateway.json_body import parse_json
from trireme_gateway.v2.binary_codec import BinaryReader, check_form, fill, split_body
from trireme_gateway.v2.json_codec import decode_json
from trireme_gateway.v2.requests import InferRequest, Parameter, Parameters, RequestedOutput
from trireme_gateway.v2.shared_memory import NO_SHARED_INPUTS, Place, SharedInputs, place_of

_KEPT_BYTES = 2048
_KEPT_HEADS = 1024


class _Input(NamedTuple):
    """An input as the JSON has it, checked but for its data."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    elements: int
    """How many, where the data is not in the JSON."""
    place: Place | None
    binary_size: Parameter | None
    data: Any


class _Head(NamedTuple):
    """The JSON of a request."""

    inputs: tuple[_Input, ...]
    outputs: tuple[RequestedOutput, ...]
    parameters: Parameters
    id: str


def decode_request(
    body: bytes, header_length: str | None = None, shared: SharedInputs = NO_SHARED_INPUTS
) -> InferRequest:
    """`header_length` is the header `Inference-Header-Content-Length` as it came, None where it is absent;
    `shared` reads the inputs that lie in shared memory.

    Unknown keys and parameters are ignored. Raises TriremeError(INVALID_ARGUMENT), and what `shared` raises.
    """
    text, tail = split_body(body, header_length)
    head = (_read_again if tail and len(text) <= _KEPT_BYTES else _read)(text)
    reader = BinaryReader(tail)
    inputs = tuple([_filled(given, reader, shared) for given in head.inputs])
    reader.finish()
    return InferRequest(inputs, head.outputs, head.parameters, head.id)


def _read(text: bytes) -> _Head:
    content = parse_json(text)
    if not isinstance(content, dict):
        raise _invalid("the body must be a JSON object with 'inputs'")
    inputs = tuple(map(_input, _objects(content, "inputs")))
    outputs = tuple(map(_output, _objects(content, "outputs", optional=True)))
    request_id = content.get("id") or ""
    if not isinstance(request_id, str):
        raise _invalid("'id' must be a string")
    return _Head(inputs, outputs, _parameters(content, "the request"), request_id)


# Before binary data a client says the same again and again.
_read_again = lru_cache(_KEPT_HEADS)(_read)


def _input(entry: Mapping[str, Any]) -> _Input:
    name = _name(entry, "input")
    datatype = entry.get("datatype")
    shape = entry.get("shape")
    if not isinstance(datatype, str):
        raise _invalid(f"input '{name}': 'datatype' must be a string")
    if not isinstance(shape, list) or not set(map(type, shape)) <= {int}:
        raise _invalid(f"input '{name}': 'shape' must be a list of whole numbers")
    parameters = _parameters(entry, f"input '{name}'")
    place = place_of(parameters, f"input '{name}'") if parameters else None
    size, data = parameters.get("binary_data_size"), entry.get("data")
    if place is not None and (data is not None or size is not None):
        raise _invalid(
            f"input '{name}': Input must set only one of the following fields: 'data', "
            "'binary_data_size' in 'parameters', 'shared_memory_region' in 'parameters'"
        )
    if size is not None and data is not None:
        raise _invalid(f"input '{name}': has both 'data' and the parameter binary_data_size")
    if place is None and size is None and "data" not in entry:
        raise _invalid(f"input '{name}': has neither 'data' nor the parameter binary_data_size")
    elements = 0 if place is None and size is None else check_form(name, datatype, shape)
    return _Input(name, datatype, tuple(shape), elements, place, size, data)


def _filled(given: _Input, reader: BinaryReader, shared: SharedInputs) -> Tensor:
    name, datatype, shape, elements, place, size, data = given
    if place is not None:
        return fill(name, datatype, shape, elements, shared.take(place))
    if size is not None:
        return fill(name, datatype, shape, elements, reader.take(name, size))
    return decode_json(name, datatype, shape, data)


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

"""Protobuf messages of the protocol <-> InferRequest, InferResponse and metadata."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TypeVar

from google.protobuf.message import DecodeError, Message

from trireme_common.errors import Code, TriremeError
from trireme_common.tensors import Tensor
from trireme_gateway.grpc_front.contents import decode_contents
from trireme_gateway.v2.binary_codec import decode_binary
from trireme_gateway.v2.metadata import ModelMetadata, TensorMetadata
from trireme_gateway.v2.requests import (
    InferRequest,
    InferResponse,
    Parameter,
    Parameters,
    RequestedOutput,
)
from trireme_gateway.v2.shared_memory import (
    NO_SHARED_INPUTS,
    Place,
    SharedInputs,
    place_of,
    place_parameters,
)
from trireme_protos.inference import grpc_service_pb2 as pb

M = TypeVar("M", bound=Message)


def parse(kind: type[M], data: bytes) -> M:
    """Raises TriremeError(INVALID_ARGUMENT) where the bytes are no such message."""
    try:
        return kind.FromString(data)
    except DecodeError as error:
        raise TriremeError(Code.INVALID_ARGUMENT, f"the bytes are no {kind.DESCRIPTOR.full_name}") from error


def check_size(data: bytes, limit: int) -> None:
    """Raises TriremeError(PAYLOAD_TOO_LARGE) for a message of more than `limit` bytes."""
    if len(data) > limit:
        raise TriremeError(
            Code.PAYLOAD_TOO_LARGE,
            f"the request has {len(data)} bytes, which is larger than the limit of {limit} bytes",
        )


def to_request(message: pb.ModelInferRequest, shared: SharedInputs = NO_SHARED_INPUTS) -> InferRequest:
    """`shared` reads the inputs that lie in shared memory.

    Raises TriremeError(INVALID_ARGUMENT) where the data does not fit what is said of it, and what
    `shared` raises.
    """
    return InferRequest(
        inputs=tuple(_inputs(message, shared)),
        outputs=tuple(_output(output) for output in message.outputs),
        parameters=_parameters(message.parameters, "the request"),
        id=message.id,
    )


def fill_response(message: pb.ModelInferResponse, response: InferResponse) -> None:
    """Outputs always travel as raw contents, as clients expect of Triton."""
    message.model_name, message.model_version = response.model_name, response.model_version
    message.id = response.id
    for tensor in response.outputs:
        output = message.outputs.add(name=tensor.name, datatype=tensor.datatype, shape=tensor.shape)
        place = response.places.get(tensor.name)
        if place is None:
            message.raw_output_contents.append(bytes(tensor.data))
            continue
        message.raw_output_contents.append(b"")  # contents are found by their place among the outputs
        for key, value in place_parameters(place, tensor).items():
            if isinstance(value, str):
                output.parameters[key].string_param = value
            else:
                output.parameters[key].int64_param = value


def from_metadata(metadata: ModelMetadata) -> pb.ModelMetadataResponse:
    return pb.ModelMetadataResponse(
        name=metadata["name"],
        versions=metadata["versions"],
        platform=metadata["platform"],
        inputs=_tensors(metadata["inputs"]),
        outputs=_tensors(metadata["outputs"]),
    )


def _tensors(tensors: Sequence[TensorMetadata]) -> list[pb.ModelMetadataResponse.TensorMetadata]:
    return [pb.ModelMetadataResponse.TensorMetadata(**tensor) for tensor in tensors]


def _inputs(message: pb.ModelInferRequest, shared: SharedInputs) -> Iterator[Tensor]:
    """Raw contents are given for all inputs that do not lie in shared memory, or for none."""
    raw = message.raw_input_contents
    places = [_place(entry) for entry in message.inputs]
    sent = places.count(None)
    if raw and len(raw) != sent:
        raise TriremeError(
            Code.INVALID_ARGUMENT,
            f"{len(raw)} raw_input_contents for {sent} inputs; give them for all or for none",
        )
    contents = iter(raw)
    for entry, place in zip(message.inputs, places, strict=True):
        if place is not None:
            yield decode_binary(entry.name, entry.datatype, entry.shape, shared.take(place))
            continue
        if not raw:
            yield decode_contents(entry.name, entry.datatype, entry.shape, entry.contents)
            continue
        if entry.HasField("contents") and entry.contents.ListFields():
            raise TriremeError(
                Code.INVALID_ARGUMENT,
                f"contents field must not be specified when using raw_input_contents for '{entry.name}' "
                f"for model '{message.model_name}'",
            )
        yield decode_binary(entry.name, entry.datatype, entry.shape, next(contents))


def _place(entry: pb.ModelInferRequest.InferInputTensor) -> Place | None:
    if not entry.name:
        raise TriremeError(Code.INVALID_ARGUMENT, "every input needs a name")
    if not entry.parameters:
        return None
    where = f"input '{entry.name}'"
    place = place_of(_parameters(entry.parameters, where), where)
    if place is not None and entry.contents.ListFields():
        raise TriremeError(
            Code.INVALID_ARGUMENT,
            f"unexpected 'contents' provided when using shared memory for input tensor '{entry.name}'",
        )
    return place


def _output(output: pb.ModelInferRequest.InferRequestedOutputTensor) -> RequestedOutput:
    return RequestedOutput(output.name, _parameters(output.parameters, f"output '{output.name}'"))


def _parameters(parameters: Mapping[str, pb.InferParameter], where: str) -> Parameters:
    return {key: _parameter(key, value, where) for key, value in parameters.items()}


def _parameter(key: str, parameter: pb.InferParameter, where: str) -> Parameter:
    choice = parameter.WhichOneof("parameter_choice")
    if choice is None:
        raise TriremeError(Code.INVALID_ARGUMENT, f"{where}: parameter '{key}' has no value")
    value: Parameter = getattr(parameter, choice)
    return value

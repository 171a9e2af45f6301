"""Protobuf messages of the protocol <-> InferRequest, InferResponse and metadata."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

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
    refuse_shared_memory,
)
from trireme_protos.inference import grpc_service_pb2 as pb


def to_request(message: pb.ModelInferRequest) -> InferRequest:
    """Raises TriremeError(INVALID_ARGUMENT) where the data does not fit what is said of it."""
    return InferRequest(
        inputs=tuple(_inputs(message)),
        outputs=tuple(_output(output) for output in message.outputs),
        parameters=_parameters(message.parameters, "the request"),
        id=message.id,
    )


def from_response(response: InferResponse) -> pb.ModelInferResponse:
    """Outputs always travel as raw contents, as clients expect of Triton."""
    message = pb.ModelInferResponse(
        model_name=response.model_name, model_version=response.model_version, id=response.id
    )
    for tensor in response.outputs:
        message.outputs.add(name=tensor.name, datatype=tensor.datatype, shape=tensor.shape)
        message.raw_output_contents.append(tensor.data)
    return message


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


def _inputs(message: pb.ModelInferRequest) -> Iterator[Tensor]:
    raw = message.raw_input_contents
    if raw and len(raw) != len(message.inputs):
        raise TriremeError(
            Code.INVALID_ARGUMENT,
            f"{len(raw)} raw_input_contents for {len(message.inputs)} inputs; give them for all or for none",
        )
    for at, entry in enumerate(message.inputs):
        if not entry.name:
            raise TriremeError(Code.INVALID_ARGUMENT, "every input needs a name")
        refuse_shared_memory(_parameters(entry.parameters, f"input '{entry.name}'"), f"input '{entry.name}'")
        if not raw:
            yield decode_contents(entry.name, entry.datatype, entry.shape, entry.contents)
            continue
        if entry.HasField("contents") and entry.contents.ListFields():
            raise TriremeError(
                Code.INVALID_ARGUMENT,
                f"contents field must not be specified when using raw_input_contents for '{entry.name}' "
                f"for model '{message.model_name}'",
            )
        yield decode_binary(entry.name, entry.datatype, entry.shape, raw[at])


def _output(output: pb.ModelInferRequest.InferRequestedOutputTensor) -> RequestedOutput:
    where = f"output '{output.name}'"
    parameters = _parameters(output.parameters, where)
    refuse_shared_memory(parameters, where)
    return RequestedOutput(output.name, parameters)


def _parameters(parameters: Mapping[str, pb.InferParameter], where: str) -> Parameters:
    return {key: _parameter(key, value, where) for key, value in parameters.items()}


def _parameter(key: str, parameter: pb.InferParameter, where: str) -> Parameter:
    choice = parameter.WhichOneof("parameter_choice")
    if choice is None:
        raise TriremeError(Code.INVALID_ARGUMENT, f"{where}: parameter '{key}' has no value")
    value: Parameter = getattr(parameter, choice)
    return value

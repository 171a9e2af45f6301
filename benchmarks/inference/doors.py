"""How servers are asked before any load: whether they answer yet, and whether what they answer is right."""

from __future__ import annotations

import socket
from typing import Any

import grpc

from benchmarks.load.doors import MODEL_INFER
from benchmarks.load.questions import Checker, Questions
from benchmarks.peers.catalog import TensorItem
from trireme_cli.loadtest.http import ResponseParser
from trireme_common.tensors import Tensor, encode_tensors
from trireme_protos.inference import grpc_service_pb2 as oip

_HOST = "127.0.0.1"
_SECONDS = 30.0
_CHECKED = 4


def http_answers(questions: Questions, port: int) -> bool:
    """Whether a server on `port` answers; False while it does not.

    Raises WrongAnswerError where it answers with something else, ProtocolError and OSError.
    """
    checker = Checker(questions)
    with socket.create_connection((_HOST, port), timeout=_SECONDS) as connection:
        for number, request in enumerate(questions.requests[:_CHECKED]):
            body = _ask(connection, request)
            if body is None:
                return False
            checker.check(number, body)
    return True


def _ask(connection: socket.socket, request: bytes) -> bytes | None:
    connection.sendall(request)
    parser = ResponseParser(strict=True)
    while data := connection.recv(262_144):
        if data.startswith(b"HTTP/1.1 ") and data[9:12] != b"200":
            return None
        if (response := parser.feed(data)) is not None:
            return response.body
    return None


def grpc_answers(questions: Questions, port: int) -> bool:
    """The same by ModelInfer; `questions` are those of the door `infer`."""
    checker = Checker(questions)
    with grpc.insecure_channel(f"{_HOST}:{port}") as channel:
        call: Any = channel.unary_unary(MODEL_INFER, None, None)  # raw bytes both ways
        for number, request in enumerate(questions.requests[:_CHECKED]):
            try:
                answer = call(request, timeout=_SECONDS)
            except grpc.RpcError:
                return False
            checker.check(number, oip.ModelInferResponse.FromString(answer).raw_output_contents[0])
    return True


def payload(item: TensorItem) -> bytes:
    """`item` as the stream carries it."""
    parts = zip(item.names, item.datatypes, item.shapes, item.data, strict=True)
    return encode_tensors([Tensor(*part) for part in parts])


def infer_message(model: str, item: TensorItem) -> bytes:
    """`item` as a ModelInferRequest with raw contents."""
    message = oip.ModelInferRequest(model_name=model)
    for name, datatype, shape in zip(item.names, item.datatypes, item.shapes, strict=True):
        message.inputs.add(name=name, datatype=datatype, shape=shape)
    message.raw_input_contents.extend(item.data)
    return message.SerializeToString()

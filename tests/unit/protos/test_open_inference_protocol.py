"""Our proto of the Open Inference Protocol holds the protocol's own messages, fields and calls.

They are compared with the protocol's file where TRIREME_OIP_SPEC names its folder, and otherwise with
the messages that Triton's client carries. The client's package has the protocol's name too, so it is
read in a process of its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2
from google.protobuf.descriptor import FileDescriptor
from grpc_tools import protoc

from trireme_protos.inference import grpc_service_pb2

Shape = dict[str, Any]

_READ_CLIENT = """
import sys
from tritonclient.grpc import service_pb2
from google.protobuf import descriptor_pb2
found = descriptor_pb2.FileDescriptorProto()
service_pb2.DESCRIPTOR.CopyToProto(found)
sys.stdout.buffer.write(found.SerializeToString())
"""


def shape(file: descriptor_pb2.FileDescriptorProto) -> Shape:
    """Fields of every message by name, and the calls with their types."""
    messages: Shape = {}

    def read(message: descriptor_pb2.DescriptorProto, prefix: str) -> None:
        name = f"{prefix}{message.name}"
        messages[name] = {
            field.name: (field.number, field.type, field.label, field.type_name) for field in message.field
        }
        for nested in message.nested_type:
            read(nested, f"{name}.")

    for message in file.message_type:
        read(message, "")
    calls = {
        method.name: (method.input_type, method.output_type, method.client_streaming, method.server_streaming)
        for service in file.service
        for method in service.method
    }
    return {"package": file.package, "messages": messages, "calls": calls}


def ours() -> Shape:
    file: FileDescriptor = grpc_service_pb2.DESCRIPTOR
    found = descriptor_pb2.FileDescriptorProto()
    file.CopyToProto(found)
    return shape(found)


def theirs(folder: Path) -> Shape:
    """The protocol's own file, or the client's messages."""
    spec = os.environ.get("TRIREME_OIP_SPEC")
    if spec is None:
        command = [sys.executable, "-c", _READ_CLIENT]
        answer = subprocess.run(command, capture_output=True, check=True)
        return shape(descriptor_pb2.FileDescriptorProto.FromString(answer.stdout))
    output = folder / "descriptors"
    arguments = ["protoc", f"-I{spec}", f"--descriptor_set_out={output}", "open_inference_grpc.proto"]
    assert protoc.main(arguments) == 0
    (file,) = descriptor_pb2.FileDescriptorSet.FromString(output.read_bytes()).file
    return shape(file)


def test_package_names_and_field_numbers_are_the_protocols(tmp_path: Path) -> None:
    mine, other = ours(), theirs(tmp_path)
    assert mine["package"] == other["package"]
    # Triton's client has more messages, fields and calls than the protocol, and lacks the properties of
    # a model; what both know may not differ.
    assert {"ModelInferRequest", "ModelInferResponse", "InferTensorContents"} <= set(other["messages"])
    for name, fields in mine["messages"].items():
        for field, said in fields.items():
            assert other["messages"].get(name, {}).get(field, said) == said, f"{name}.{field}"
    for name, types in mine["calls"].items():
        assert other["calls"].get(name, types) == types, name


def test_every_call_and_message_of_the_protocol_is_here(tmp_path: Path) -> None:
    calls = {"ServerLive", "ServerReady", "ModelReady", "ServerMetadata", "ModelMetadata", "ModelInfer"}
    assert calls <= set(ours()["calls"])
    if "TRIREME_OIP_SPEC" in os.environ:
        other = theirs(tmp_path)
        mine = {name: fields for name, fields in ours()["messages"].items() if name in other["messages"]}
        assert json.dumps(mine, sort_keys=True) == json.dumps(other["messages"], sort_keys=True)

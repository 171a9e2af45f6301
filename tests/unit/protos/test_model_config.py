"""Our proto of Triton's model configuration has the names, numbers and types that Triton's client carries.

The client's package has our proto's package name too, so it is read in a process of its own.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from typing import Any

from google.protobuf import descriptor_pb2

from trireme_protos.inference import model_config_pb2

_READ_CLIENT = """
import sys
from tritonclient.grpc import model_config_pb2
from google.protobuf import descriptor_pb2
found = descriptor_pb2.FileDescriptorProto()
model_config_pb2.DESCRIPTOR.CopyToProto(found)
sys.stdout.buffer.write(found.SerializeToString())
"""


def contents(file: descriptor_pb2.FileDescriptorProto) -> dict[str, Any]:
    """Fields of messages and values of enums, by dotted name."""
    found: dict[str, Any] = {}

    def read_enums(enums: Iterable[descriptor_pb2.EnumDescriptorProto], prefix: str) -> None:
        for enum in enums:
            for value in enum.value:
                found[f"{prefix}{enum.name}.{value.name}"] = value.number

    def read(message: descriptor_pb2.DescriptorProto, prefix: str) -> None:
        name = f"{prefix}{message.name}"
        for field in message.field:
            one_of = message.oneof_decl[field.oneof_index].name if field.HasField("oneof_index") else ""
            found[f"{name}.{field.name}"] = (field.number, field.type, field.label, field.type_name, one_of)
        read_enums(message.enum_type, f"{name}.")
        for nested in message.nested_type:
            read(nested, f"{name}.")

    read_enums(file.enum_type, "")
    for message in file.message_type:
        read(message, "")
    return found


def test_names_numbers_and_types_are_tritons() -> None:
    answer = subprocess.run([sys.executable, "-c", _READ_CLIENT], capture_output=True, check=True)
    theirs = descriptor_pb2.FileDescriptorProto.FromString(answer.stdout)
    ours = descriptor_pb2.FileDescriptorProto()
    model_config_pb2.DESCRIPTOR.CopyToProto(ours)
    assert ours.package == theirs.package
    assert len(contents(theirs)) > 200
    assert contents(ours) == contents(theirs)

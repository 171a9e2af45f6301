"""Requests whose tensors lie in shared memory, over REST and gRPC, and what they can get wrong."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import numpy as np
import pytest

from tests.support.gateways import client
from tests.unit.gateway.grpc_front.door import door
from tests.unit.gateway.v2.fakes import services
from trireme_common.errors import Code, TriremeError
from trireme_common.tensors import encode_bytes
from trireme_gateway.extensions.bootstrap import Extensions
from trireme_gateway.extensions.region_desk import RegionDesk
from trireme_gateway.extensions.region_files import RegionFiles
from trireme_gateway.services import Services
from trireme_gateway.v2.shared_memory import Place, SharedInputs
from trireme_protos.inference import grpc_service_pb2 as pb

VALUES = np.array([1, 2, 3], np.float32).tobytes()
SIZE = len(VALUES)


class Memory:
    """A gateway that has a region `r` of 64 bytes, beginning at byte 16 of its memory object."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "memory"
        self._file.write_bytes(bytes(16) + VALUES + bytes(64 - SIZE))
        self.regions = RegionDesk(enabled=True, files=RegionFiles(folder))

    async def services(self, **settings: Any) -> Services:
        await self.regions.register("r", "/memory", 16, 64)
        return replace(services(**settings), extensions=Extensions(regions=self.regions))

    def read(self, offset: int, size: int) -> bytes:
        return self._file.read_bytes()[16 + offset :][:size]

    def write(self, data: bytes) -> None:
        self._file.write_bytes(bytes(16) + data + bytes(64 - len(data)))


@pytest.fixture
def memory(tmp_path: Path) -> Memory:
    return Memory(tmp_path)


def place(offset: int = 0, size: int = SIZE, region: str = "r") -> dict[str, Any]:
    where = {"shared_memory_region": region, "shared_memory_byte_size": size}
    return {**where, "shared_memory_offset": offset} if offset else where


def tensor(
    name: str = "INPUT0", datatype: str = "FP32", shape: Any = (1, 3), **entries: Any
) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": list(shape), **entries}


async def ask(known: Services, model: str, **body: Any) -> Any:
    async with client(known) as http:
        return await http.post(f"/v2/models/{model}/infer", json=body)


async def test_rest_reads_inputs_and_writes_outputs(memory: Memory) -> None:
    outputs = [{"name": "OUTPUT0", "parameters": place(24, 40)}]
    answer = await ask(await memory.services(), "echo", inputs=[tensor(parameters=place())], outputs=outputs)
    assert answer.status_code == 200
    assert "inference-header-content-length" not in answer.headers
    assert answer.json()["outputs"] == [tensor("OUTPUT0", parameters=place(24))]
    assert memory.read(24, SIZE) == VALUES


async def test_what_is_sent_and_what_lies_in_memory_go_together(memory: Memory) -> None:
    memory.write(bytes([1, 2, 3]))
    left = tensor("INPUT0", "INT8", [3], parameters=place(0, 3))
    right = tensor("INPUT1", "INT8", [2], data=[7, 8])
    outputs = [
        {"name": "OUTPUT1", "parameters": place(32, 8)},
        {"name": "OUTPUT0", "parameters": {"binary_data": True}},
    ]
    answer = await ask(await memory.services(), "pair", inputs=[left, right], outputs=outputs)
    assert answer.status_code == 200
    head = int(answer.headers["inference-header-content-length"])
    assert answer.content[head:] == bytes([1, 2, 3])
    assert memory.read(32, 3) == bytes([7, 8, 0])


async def test_texts_lie_in_memory_with_their_lengths(memory: Memory) -> None:
    texts = encode_bytes([b"good", b"bad"])
    memory.write(texts)
    entry = tensor("text", "BYTES", [2], parameters=place(0, len(texts)))
    answer = await ask(await memory.services(), "sentiment", inputs=[entry], outputs=[{"name": "label"}])
    assert answer.json()["outputs"][0]["data"] == ["positive", "negative"]


async def test_grpc_reads_inputs_and_writes_outputs(memory: Memory) -> None:
    message = pb.ModelInferRequest(model_name="pair", raw_input_contents=[bytes([7, 8])])
    memory.write(bytes([1, 2, 3]))
    left = message.inputs.add(name="INPUT0", datatype="INT8", shape=[3])
    _put(left.parameters, place(0, 3))
    message.inputs.add(name="INPUT1", datatype="INT8", shape=[2])
    _put(message.outputs.add(name="OUTPUT0").parameters, place(32, 8))
    message.outputs.add(name="OUTPUT1")
    async with door(await memory.services()) as front:
        answer = await front.ask("ModelInfer", message, pb.ModelInferResponse)
    assert list(answer.raw_output_contents) == [b"", bytes([7, 8])]
    assert answer.outputs[0].parameters["shared_memory_region"].string_param == "r"
    assert answer.outputs[0].parameters["shared_memory_byte_size"].int64_param == 3
    assert answer.outputs[0].parameters["shared_memory_offset"].int64_param == 32
    assert memory.read(32, 4) == bytes([1, 2, 3, 0])


async def test_grpc_refuses_contents_beside_shared_memory(memory: Memory) -> None:
    message = pb.ModelInferRequest(model_name="echo")
    entry = message.inputs.add(name="INPUT0", datatype="FP32", shape=[1, 3])
    _put(entry.parameters, place())
    entry.contents.fp32_contents.extend([1, 2, 3])
    async with door(await memory.services()) as front:
        with pytest.raises(grpc.aio.AioRpcError, match="unexpected 'contents' provided") as refused:
            await front.call("ModelInfer", message.SerializeToString())
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        del message.inputs[0].contents.fp32_contents[:]
        message.raw_input_contents.append(VALUES)
        with pytest.raises(grpc.aio.AioRpcError, match="1 raw_input_contents for 0 inputs"):
            await front.call("ModelInfer", message.SerializeToString())


@pytest.mark.parametrize(
    ("parameters", "status", "said"),
    [
        (place(region="s"), 404, "Unable to find shared memory region: 's'"),
        (place(64), 400, "Invalid offset for shared memory region: 'r'"),
        (place(60), 400, "Invalid offset + byte size for shared memory region: 'r'"),
        (place(0, 8), 400, "8 bytes of data, but shape [1, 3] of FP32 takes 12"),
        (place(region=7), 400, "Unable to parse 'shared_memory_region'"),  # type: ignore[arg-type]
        (place(0, -1), 400, "Unable to parse 'shared_memory_byte_size'"),
        ({**place(), "shared_memory_offset": "0"}, 400, "Unable to parse 'shared_memory_offset'"),
        ({**place(), "binary_data_size": 12}, 400, "Input must set only one of the following fields"),
    ],
)
async def test_inputs_that_are_not_there(memory: Memory, parameters: Any, status: int, said: str) -> None:
    answer = await ask(await memory.services(), "echo", inputs=[tensor(parameters=parameters)])
    assert answer.status_code == status
    assert said in answer.json()["error"]


@pytest.mark.parametrize(
    ("parameters", "status", "said"),
    [
        (place(region="s"), 404, "Unable to find shared memory region: 's'"),
        (place(60), 400, "Invalid offset + byte size for shared memory region: 'r'"),
        (place(0, 8), 400, "for output 'OUTPUT0' (8 bytes) should be at least 12 bytes to hold the results"),
        ({**place(), "classification": 2}, 400, "both 'shared_memory_region' and 'classification'"),
        ({**place(), "binary_data": True}, 400, "both 'shared_memory_region' and 'binary_data'"),
    ],
)
async def test_outputs_that_have_no_place(memory: Memory, parameters: Any, status: int, said: str) -> None:
    before = memory.read(0, 64)
    answer = await ask(
        await memory.services(),
        "echo",
        inputs=[tensor(data=[4, 5, 6])],
        outputs=[{"name": "OUTPUT0", "parameters": parameters}],
    )
    assert answer.status_code == status
    assert said in answer.json()["error"]
    assert memory.read(0, 64) == before


async def test_an_output_that_does_not_fit_leaves_the_others_unwritten(memory: Memory) -> None:
    before = memory.read(0, 64)
    inputs = [tensor(name, "INT8", [3], data=[4, 5, 6]) for name in ("INPUT0", "INPUT1")]
    outputs = [{"name": f"OUTPUT{at}", "parameters": place(at * 8, 3 - at)} for at in (0, 1)]
    answer = await ask(await memory.services(), "pair", inputs=inputs, outputs=outputs)
    assert answer.status_code == 400
    assert memory.read(0, 64) == before


async def test_shared_memory_is_bounded_as_bodies_are(memory: Memory) -> None:
    await memory.services()
    shared = SharedInputs(memory.regions, 100)
    assert shared.take(Place("r", 0, 64)) == memory.read(0, 64)
    with pytest.raises(TriremeError, match="larger than the limit of 100 bytes") as refused:
        shared.take(Place("r", 0, 37))
    assert refused.value.code is Code.PAYLOAD_TOO_LARGE


async def test_where_it_is_not_allowed_no_region_is_found() -> None:
    answer = await ask(services(), "echo", inputs=[tensor(parameters=place())])
    assert (answer.status_code, answer.json()) == (
        404,
        {"error": "Unable to find shared memory region: 'r'"},
    )


def _put(parameters: Any, values: dict[str, Any]) -> None:
    for key, value in values.items():
        kind = "string_param" if isinstance(value, str) else "int64_param"
        setattr(parameters[key], kind, value)

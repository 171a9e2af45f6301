"""Shared memory: the system's in full, CUDA's as far as the server has it."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import numpy as np

from tests.conformance.casebook import CaseBook, NotAskedError, NotSupportedError
from tests.conformance.triton.client import TritonClient, pair

MEMORY = CaseBook()
_REGION, _KEY, _BYTES = "conformance_region", "/conformance_memory", 256
_GET, _REGISTER, _UNREGISTER = (
    "get_system_shared_memory_status",
    "register_system_shared_memory",
    "unregister_system_shared_memory",
)
_CUDA = "cuda_shared_memory"


@MEMORY.works(_REGISTER, "a region, and one that begins within the memory")
async def register(client: TritonClient) -> None:
    async with _memory(client):
        await client(_REGISTER, _REGION, _KEY, _BYTES)
        await client(_REGISTER, f"{_REGION}_later", _KEY, _BYTES - 64, offset=64)
        assert sorted(await _regions(client)) == [_REGION, f"{_REGION}_later"]


@MEMORY.fails(_REGISTER, "memory that there is not, and more than there is")
async def register_nothing(client: TritonClient) -> None:
    async with _memory(client):
        await client.refused(_REGISTER, _REGION, "/conformance_no_memory", _BYTES)
        await client.refused(_REGISTER, _REGION, _KEY, 1 << 30)
        assert await _regions(client) == {}


@MEMORY.fails(_REGISTER, "a name that is taken")
async def register_twice(client: TritonClient) -> None:
    async with _memory(client):
        await client(_REGISTER, _REGION, _KEY, _BYTES)
        await client.refused(_REGISTER, _REGION, _KEY, _BYTES, naming=_REGION)


@MEMORY.works(_GET, "of one region and of all, with key, offset and size")
async def status(client: TritonClient) -> None:
    async with _memory(client):
        await client(_REGISTER, _REGION, _KEY, _BYTES - 64, offset=64)
        for asked in (_REGION, ""):
            found = (await _regions(client, asked))[_REGION]
            assert found["key"] == _KEY
            assert int(found["offset"]) == 64
            assert int(found["byte_size"]) == _BYTES - 64


@MEMORY.fails(_GET, "of a region that nobody registered")
async def status_of_nothing(client: TritonClient) -> None:
    await client.refused(_GET, "conformance_no_region", naming="conformance_no_region")


@MEMORY.works(_UNREGISTER, "one region, then all of them")
async def unregister(client: TritonClient) -> None:
    async with _memory(client):
        for name in ("a", "b", "c"):
            await client(_REGISTER, f"{_REGION}_{name}", _KEY, _BYTES)
        await client(_UNREGISTER, f"{_REGION}_b")
        assert sorted(await _regions(client)) == [f"{_REGION}_a", f"{_REGION}_c"]
        await client(_UNREGISTER)
        assert await _regions(client) == {}


@MEMORY.fails(_UNREGISTER, "where nobody listens")
async def unregister_nowhere(client: TritonClient) -> None:
    await client.unreachable(_UNREGISTER)


@MEMORY.works("infer", "inputs and outputs in shared memory, at an offset")
async def infer_in_memory(client: TritonClient) -> None:
    left, right = pair(2)
    async with _memory(client) as memory:
        memory.write(left, right)
        await client(_REGISTER, _REGION, _KEY, _BYTES)
        inputs = [_lying(client, "INPUT0", left, 0), _lying(client, "INPUT1", right, left.nbytes)]
        outputs = [client.output("SUM"), client.output("DIFFERENCE")]
        outputs[0].set_shared_memory(_REGION, left.nbytes, offset=2 * left.nbytes)
        outputs[1].set_shared_memory(_REGION, left.nbytes, offset=3 * left.nbytes)
        result = await client("infer", client.models.sums, inputs, outputs=outputs)
        assert result.get_output("SUM") is not None
        np.testing.assert_array_equal(memory.read(left, 2 * left.nbytes), left + right)
        np.testing.assert_array_equal(memory.read(left, 3 * left.nbytes), left - right)


@MEMORY.works("infer", "one input and one output in shared memory, the others in the message")
async def infer_half_in_memory(client: TritonClient) -> None:
    left, right = pair(2)
    async with _memory(client) as memory:
        memory.write(left)
        await client(_REGISTER, _REGION, _KEY, _BYTES)
        outputs = [client.output("SUM"), client.output("DIFFERENCE")]
        outputs[0].set_shared_memory(_REGION, left.nbytes, offset=left.nbytes)
        inputs = [_lying(client, "INPUT0", left, 0), client.tensor("INPUT1", right)]
        result = await client("infer", client.models.sums, inputs, outputs=outputs)
        np.testing.assert_array_equal(memory.read(left, left.nbytes), left + right)
        np.testing.assert_array_equal(result.as_numpy("DIFFERENCE"), left - right)


@MEMORY.works("infer", "BYTES in shared memory")
async def texts_in_memory(client: TritonClient) -> None:
    values = np.array([b"", "好".encode(), b"abc"], np.object_)
    async with _memory(client) as memory:
        size = memory.write_texts(values)
        await client(_REGISTER, _REGION, _KEY, _BYTES)
        lying = client.bare_tensor("IN_STRING", [3], "BYTES").set_shared_memory(_REGION, size)
        result = await client("infer", client.models.text, [lying])
        assert result.as_numpy("OUT_STRING").tolist() == values.tolist()


@MEMORY.fails("infer", "past the end of a region, and an output that does not fit into it")
async def beyond_region(client: TritonClient) -> None:
    async with _memory(client) as memory:
        memory.write(np.ones(4, np.float32))
        await client(_REGISTER, _REGION, _KEY, 16)
        beyond = client.bare_tensor("x", [8], "FP32").set_shared_memory(_REGION, 32)
        await client.refused("infer", client.models.versions, [beyond], naming=_REGION)
        output = client.output("y")
        output.set_shared_memory(_REGION, 8)
        inputs = [client.tensor("x", np.ones(4, np.float32))]
        await client.refused("infer", client.models.versions, inputs, outputs=[output])


@MEMORY.works(f"get_{_CUDA}_status", "no region")
async def cuda_status(client: TritonClient) -> None:
    await _or_unsupported(client, f"get_{_CUDA}_status")


@MEMORY.fails(f"get_{_CUDA}_status", "of a region that nobody registered")
async def cuda_status_of_nothing(client: TritonClient) -> None:
    await client.refused(f"get_{_CUDA}_status", "conformance_no_region")


@MEMORY.works(f"register_{_CUDA}", "memory of a GPU")
async def cuda_register(client: TritonClient) -> None:
    handle = base64.b64encode(b"\0" * 64).decode()
    error = await client.refused(f"register_{_CUDA}", _REGION, handle, 0, 64)
    if "not supported" in error.message():
        raise NotSupportedError(error.message())
    raise NotAskedError("there is no memory of a GPU to be registered")


@MEMORY.fails(f"register_{_CUDA}", "a handle that means nothing")
async def cuda_register_nothing(client: TritonClient) -> None:
    handle = base64.b64encode(b"\0" * 64).decode()
    await client.refused(f"register_{_CUDA}", _REGION, handle, 0, 64)


@MEMORY.works(f"unregister_{_CUDA}", "all of none")
async def cuda_unregister(client: TritonClient) -> None:
    await _or_unsupported(client, f"unregister_{_CUDA}")


@MEMORY.fails(f"unregister_{_CUDA}", "where nobody listens")
async def cuda_unregister_nowhere(client: TritonClient) -> None:
    await client.unreachable(f"unregister_{_CUDA}")


async def _or_unsupported(client: TritonClient, call: str) -> None:
    """Answered, or refused in a way that the client understands."""
    try:
        await client(call)
    except client.error as error:
        client.check_error(error)
        raise NotSupportedError(error.message()) from error


async def _regions(client: TritonClient, name: str = "") -> dict[str, dict[str, Any]]:
    """Regions by name: JSON has a list of them, gRPC a map."""
    answer = await client.plain(_GET, name)
    if client.transport == "grpc":
        regions = answer.get("regions", {})
        return {name: {"offset": 0, **region} for name, region in regions.items()}
    return {region["name"]: region for region in answer}


def _lying(client: TritonClient, name: str, array: Any, offset: int) -> Any:
    made = client.bare_tensor(name, list(array.shape), "FP32")
    return made.set_shared_memory(_REGION, array.nbytes, offset=offset)


class _Memory:
    """Shared memory of the machine, by Triton's own module."""

    def __init__(self, module: Any, handle: Any) -> None:
        self._module = module
        self._handle = handle

    def write(self, *arrays: Any) -> None:
        self._module.set_shared_memory_region(self._handle, list(arrays))

    def write_texts(self, values: Any) -> int:
        from tritonclient.utils import serialize_byte_tensor

        data = serialize_byte_tensor(values)
        self._module.set_shared_memory_region(self._handle, [data])
        return len(data.item())

    def read(self, like: Any, offset: int) -> Any:
        return self._module.get_contents_as_numpy(self._handle, like.dtype, like.shape, offset).copy()


@contextlib.asynccontextmanager
async def _memory(client: TritonClient) -> AsyncIterator[_Memory]:
    """Memory of our own that is gone afterwards, with whatever was registered."""
    if not client.target.same_machine:
        raise NotAskedError("the server is on another machine")
    from tritonclient.utils import shared_memory

    handle = shared_memory.create_shared_memory_region(_REGION, _KEY, _BYTES)
    try:
        yield _Memory(shared_memory, handle)
    finally:
        await client(_UNREGISTER)
        shared_memory.destroy_shared_memory_region(handle)

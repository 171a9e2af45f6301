from __future__ import annotations

import orjson
import pytest

from tests.support.stage_process import free_port
from tests.support.triton_server import TritonModels, triton_server
from trireme_common.errors import Code, TriremeError
from trireme_common.stage_state import State, TensorInfo
from trireme_gateway.hop.oip.channel import open_server
from trireme_gateway.hop.oip.ports import IndexEntry, Metadata, ServerAwayError


async def test_what_the_server_tells_of_its_models() -> None:
    models = TritonModels({"times": {"1": "READY", "2": "UNAVAILABLE"}}, max_batch_size=4)
    async with triton_server(models) as running, open_server(running.address) as server:
        assert await server.server_ready()
        assert server.connected
        assert await server.model_ready("times", "1")
        assert not await server.model_ready("times", "2")
        assert await server.index() == [
            IndexEntry("times", "1", State.READY),
            IndexEntry("times", "2", State.UNAVAILABLE, "it is broken"),
        ]
        x, y = TensorInfo("x", "FP32", (-1, 4)), TensorInfo("y", "FP32", (-1, 4))
        assert await server.metadata("times", "1") == Metadata(("1", "2"), "onnxruntime_onnx", (x,), (y,))
        config = await server.config("times", "1")
        assert config.max_batch_size == 4
        assert orjson.loads(config.json)["input"][0]["dims"] == [4]


@pytest.mark.parametrize(
    ("told", "state"),
    [
        ("READY", State.READY),
        ("State.READY", State.READY),
        ("LOADING", State.LOADING),
        ("UNKNOWN", State.UNAVAILABLE),
        ("", None),
    ],
)
async def test_states_as_servers_write_them(told: str, state: State | None) -> None:
    models = TritonModels({"times": {"1": told}})
    async with triton_server(models) as running, open_server(running.address) as server:
        (entry,) = await server.index()
        assert entry.state is state


async def test_a_call_that_the_server_does_not_know() -> None:
    models = TritonModels(indexed=False)
    async with triton_server(models) as running, open_server(running.address) as server:
        with pytest.raises(TriremeError) as refused:
            await server.index()
        assert refused.value.code is Code.UNIMPLEMENTED


async def test_nobody_there_is_no_connection() -> None:
    async with open_server(f"127.0.0.1:{free_port()}") as server:
        with pytest.raises(ServerAwayError):
            await server.server_ready()
        assert not server.connected

"""Loading and unloading, with a configuration and files of the caller's own."""

from __future__ import annotations

import json

import numpy as np

from tests.conformance.casebook import CaseBook
from tests.conformance.models import scale
from tests.conformance.triton.client import TritonClient
from tests.conformance.triton.server import UNKNOWN, config_of, index_of

ORDERS = CaseBook()


@ORDERS.works("load_model", "again, as it stands")
async def load(client: TritonClient) -> None:
    await client("load_model", client.models.orders)
    assert await _factor(client, client.models.orders) == 2


@ORDERS.works("load_model", "with a configuration in the request, until it is loaded without")
async def load_with_config(client: TritonClient) -> None:
    name = client.models.sums
    config = await config_of(client, name)
    config["max_batch_size"] = 4
    config["dynamic_batching"] = {"preferred_batch_size": [2]}
    await client("load_model", name, config=json.dumps(config))
    try:
        assert int((await config_of(client, name))["max_batch_size"]) == 4
        assert await client("is_model_ready", name)
    finally:
        await client("load_model", name)
    assert int((await config_of(client, name))["max_batch_size"]) == 8


@ORDERS.works("load_model", "a model whose files come with the request")
async def load_files(client: TritonClient) -> None:
    name = client.models.sent
    for factor in (5.0, 6.0):
        files = {"file:1/model.onnx": scale(factor)}
        await client("load_model", name, config=json.dumps(_CONFIG), files=files)
        assert await _factor(client, name) == factor
    await client("unload_model", name)
    assert await client("is_model_ready", name) is False


@ORDERS.fails("load_model", "an unknown model")
async def load_unknown(client: TritonClient) -> None:
    await client.refused("load_model", UNKNOWN, naming=UNKNOWN)


@ORDERS.fails("load_model", "a broken model: with the reason, and the others go on")
async def load_broken(client: TritonClient) -> None:
    await client.refused("load_model", client.models.broken, naming=client.models.broken)
    assert await _factor(client, client.models.orders) == 2


@ORDERS.fails("load_model", "with a configuration that is none, and files without one")
async def load_wrongly(client: TritonClient) -> None:
    await client.refused("load_model", client.models.orders, config="{this is no JSON")
    files = {"file:1/model.onnx": scale(2.0)}
    await client.refused("load_model", client.models.sent, files=files)
    assert await _factor(client, client.models.orders) == 2


@ORDERS.fails("load_model", "with files that are no model, or lie outside of their folder")
async def load_wrong_files(client: TritonClient) -> None:
    for files in ({"file:1/model.onnx": b"this is no model"}, {"file:../../model.onnx": scale(2.0)}):
        await client.refused("load_model", client.models.sent, config=json.dumps(_CONFIG), files=files)
        assert await client("is_model_ready", client.models.sent) is False


@ORDERS.works("unload_model", "and what is unloaded is not ready, not answered, and loaded again")
async def unload(client: TritonClient) -> None:
    name = client.models.orders
    for options in ({}, {"unload_dependents": True}):
        await client("unload_model", name, **options)
        try:
            assert await client("is_model_ready", name) is False
            states = {entry.get("state") for entry in await index_of(client) if entry["name"] == name}
            assert "READY" not in states, states
            inputs = [client.tensor("x", np.ones(2, np.float32))]
            await client.not_now("infer", name, inputs, naming=name)
        finally:
            await client("load_model", name)
        assert await _factor(client, name) == 2


@ORDERS.fails("unload_model", "an unknown model")
async def unload_unknown(client: TritonClient) -> None:
    await client.refused("unload_model", UNKNOWN, naming=UNKNOWN)


_CONFIG = {
    "backend": "onnxruntime",
    "max_batch_size": 0,
    "input": [{"name": "x", "data_type": "TYPE_FP32", "dims": [-1]}],
    "output": [{"name": "y", "data_type": "TYPE_FP32", "dims": [-1]}],
}


async def _factor(client: TritonClient, name: str) -> float:
    """By what the model multiplies, asked of the model itself."""
    result = await client("infer", name, [client.tensor("x", np.array([1.0], np.float32))])
    return float(result.as_numpy("y")[0])

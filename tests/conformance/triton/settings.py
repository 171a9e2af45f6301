"""Statistics, trace settings and log settings."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import numpy as np

from tests.conformance.casebook import CaseBook
from tests.conformance.triton.client import TritonClient, pair, sums_of
from tests.conformance.triton.server import HTTP, UNKNOWN

SETTINGS = CaseBook()
_TRACE = {"trace_level", "trace_rate", "trace_count", "log_frequency", "trace_mode"}
_LOG = {"log_file", "log_info", "log_warning", "log_error", "log_verbose_level", "log_format"}
_ROWS = 3


@SETTINGS.works("get_inference_statistics", "of a model: counts that grow with what was asked")
async def statistics(client: TritonClient) -> None:
    before = await _statistics(client, client.models.sums)
    await client("infer", client.models.sums, sums_of(client, *pair(_ROWS)))
    after = await _statistics(client, client.models.sums)
    grown = {
        name: _number(after, *path) - _number(before, *path)
        for name, path in {
            "successes": ("inference_stats", "success", "count"),
            "failures": ("inference_stats", "fail", "count"),
            "inferences": ("inference_count",),
            "executions": ("execution_count",),
        }.items()
    }
    assert grown == {"successes": 1, "failures": 0, "inferences": _ROWS, "executions": 1}
    for part in ("success", "queue", "compute_input", "compute_infer", "compute_output"):
        assert _number(after, "inference_stats", part, "ns") >= _number(before, "inference_stats", part, "ns")
    assert _number(after, "inference_stats", "success", "ns") > _number(
        before, "inference_stats", "success", "ns"
    )
    assert _number(after, "last_inference") > 1_600_000_000_000  # milliseconds since 1970


@SETTINGS.works("get_inference_statistics", "of a model: on what it failed")
async def failures(client: TritonClient) -> None:
    name = client.models.table
    before = await _statistics(client, name)
    for _ in range(2):
        await client.failed("infer", name, [client.tensor("place", np.array([77], np.int64))])
    after = await _statistics(client, name)
    path = ("inference_stats", "fail", "count")
    assert _number(after, *path) - _number(before, *path) == 2
    assert _number(after, "inference_count") == _number(before, "inference_count")


@SETTINGS.works("get_inference_statistics", "of a model: sizes of its batches")
async def batch_statistics(client: TritonClient) -> None:
    await client("infer", client.models.sums, sums_of(client, *pair(_ROWS)))
    found = await _statistics(client, client.models.sums)
    sizes = {int(entry["batch_size"]): entry for entry in found["batch_stats"]}
    assert int(sizes[_ROWS]["compute_infer"]["count"]) >= 1
    assert int(sizes[_ROWS]["compute_infer"]["ns"]) > 0


@SETTINGS.works("get_inference_statistics", "of one version, and of all models")
async def all_statistics(client: TritonClient) -> None:
    values = [client.tensor("x", np.ones(2, np.float32))]
    await client("infer", client.models.versions, values, model_version="1")
    answer = await client.plain("get_inference_statistics", client.models.versions, "1")
    (one,) = answer["model_stats"]
    assert (one["name"], one["version"]) == (client.models.versions, "1")
    assert _number(one, "inference_stats", "success", "count") >= 1
    every = await client.plain("get_inference_statistics")
    found = {(entry["name"], entry["version"]) for entry in every["model_stats"]}
    assert {(client.models.sums, "1"), (client.models.versions, "1"), (client.models.versions, "2")} <= found


@SETTINGS.fails("get_inference_statistics", "of an unknown model, and of an unknown version")
async def no_statistics(client: TritonClient) -> None:
    await client.refused("get_inference_statistics", UNKNOWN, naming=UNKNOWN)
    await client.refused("get_inference_statistics", client.models.sums, "77", naming=client.models.sums)


@SETTINGS.works("get_trace_settings", "of the server and of a model")
async def trace_settings(client: TritonClient) -> None:
    assert set(await _trace(client, "get_trace_settings")) >= _TRACE
    assert set(await _trace(client, "get_trace_settings", client.models.sums)) >= _TRACE


@SETTINGS.fails("get_trace_settings", "of an unknown model")
async def no_trace_settings(client: TritonClient) -> None:
    await client.refused("get_trace_settings", UNKNOWN, naming=UNKNOWN)


@SETTINGS.works("update_trace_settings", "of the server: answered, and read back")
async def update_trace(client: TritonClient) -> None:
    async with _trace_put_back(client):
        changed = {"trace_level": ["TIMESTAMPS"], "trace_rate": "500", "log_frequency": "10"}
        answer = await _trace(client, "update_trace_settings", settings=changed)
        assert {name: answer[name] for name in changed} == {
            "trace_level": ["TIMESTAMPS"],
            "trace_rate": ["500"],
            "log_frequency": ["10"],
        }
        assert await _trace(client, "get_trace_settings") == answer
        answer = await _trace(client, "update_trace_settings", settings={"trace_level": ["OFF"]})
        assert answer["trace_level"] == ["OFF"]


@SETTINGS.works("update_trace_settings", "of a model: its own until it is cleared")
async def update_model_trace(client: TritonClient) -> None:
    name = client.models.sums
    async with _trace_put_back(client):
        await _trace(client, "update_trace_settings", settings={"trace_rate": "500"})
        await _trace(client, "update_trace_settings", name, settings={"trace_rate": "7"})
        assert (await _trace(client, "get_trace_settings", name))["trace_rate"] == ["7"]
        assert (await _trace(client, "get_trace_settings"))["trace_rate"] == ["500"]
        cleared = await _trace(client, "update_trace_settings", name, settings={"trace_rate": None})
        assert cleared["trace_rate"] == ["500"]


@SETTINGS.fails("update_trace_settings", "a setting that there is not, a wrong value, an unknown model")
async def wrong_trace_settings(client: TritonClient) -> None:
    wrong = {"conformance_setting": "1"}
    await client.refused("update_trace_settings", settings=wrong, naming="conformance_setting")
    await client.refused("update_trace_settings", settings={"trace_rate": "often"}, naming="trace_rate")
    await client.refused("update_trace_settings", settings={"trace_level": ["LOUD"]}, naming="LOUD")
    await client.refused("update_trace_settings", UNKNOWN, settings={"trace_rate": "1"}, naming=UNKNOWN)


@SETTINGS.works("get_log_settings", "all of Triton's")
async def log_settings(client: TritonClient) -> None:
    assert set(await _log(client, "get_log_settings")) >= _LOG


@SETTINGS.fails("get_log_settings", "where nobody listens")
async def log_settings_nowhere(client: TritonClient) -> None:
    await client.unreachable("get_log_settings")


@SETTINGS.works("update_log_settings", "answered, read back and put back")
async def update_log(client: TritonClient) -> None:
    before = await _log(client, "get_log_settings")
    kept = {name: before[name] for name in ("log_verbose_level", "log_info")}
    try:
        answer = await _log(client, "update_log_settings", {"log_verbose_level": 1, "log_info": False})
        assert (answer["log_verbose_level"], answer["log_info"]) == (1, False)
        assert await _log(client, "get_log_settings") == answer
    finally:
        answer = await _log(client, "update_log_settings", kept)
    assert {name: answer[name] for name in kept} == kept


@SETTINGS.fails("update_log_settings", "a setting that there is not, and a format that there is not")
async def wrong_log_settings(client: TritonClient) -> None:
    wrong = {"conformance_setting": True}
    await client.refused("update_log_settings", wrong, naming="conformance_setting")
    await client.refused("update_log_settings", {"log_format": "verse"}, naming="log_format")


@SETTINGS.fails("update_log_settings", "a value of another type", *HTTP)
async def wrong_log_type(client: TritonClient) -> None:
    await client.refused("update_log_settings", {"log_info": "yes"}, naming="log_info")


async def _statistics(client: TritonClient, name: str) -> dict[str, Any]:
    answer = await client.plain("get_inference_statistics", name)
    (found,) = answer["model_stats"]
    return found


def _number(values: dict[str, Any], *path: str) -> int:
    """A count; gRPC's JSON has strings for 64 bits and leaves out zeros."""
    found: Any = values
    for key in path:
        found = found.get(key, {})
    return int(found or 0)


async def _trace(client: TritonClient, call: str, *args: Any, **options: Any) -> dict[str, list[str]]:
    """Settings as lists of strings: JSON has single ones, gRPC lists."""
    answer = await client.plain(call, *args, **options)
    if client.transport == "grpc":
        return {name: list(entry.get("value", [])) for name, entry in answer["settings"].items()}
    return {name: value if isinstance(value, list) else [value] for name, value in answer.items()}


async def _log(client: TritonClient, call: str, *args: Any) -> dict[str, Any]:
    answer = await client.plain(call, *args)
    if client.transport == "grpc":
        return {name: next(iter(entry.values()), None) for name, entry in answer["settings"].items()}
    return dict(answer)


@contextlib.asynccontextmanager
async def _trace_put_back(client: TritonClient) -> AsyncIterator[None]:
    before = await _trace(client, "get_trace_settings")
    try:
        yield
    finally:
        kept = {
            name: before[name] if name == "trace_level" else before[name][0]
            for name in ("trace_level", "trace_rate", "log_frequency")
        }
        await client("update_trace_settings", settings=kept)

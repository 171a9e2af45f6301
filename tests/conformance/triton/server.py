"""Health, metadata, configuration, the index, and what a client does for itself."""

from __future__ import annotations

from typing import Any

from tests.conformance.casebook import CaseBook
from tests.conformance.triton.client import TritonClient, pair, sums_of

SERVER = CaseBook()
HTTP = ("triton-http", "triton-http-aio")
GRPC = ("triton-grpc", "triton-grpc-aio")
UNKNOWN = "conformance_nobody"


@SERVER.works("is_server_live", "answers true")
async def live(client: TritonClient) -> None:
    assert await client("is_server_live") is True
    assert await client("is_server_live", headers={"x-extra": "1"}) is True


@SERVER.works("is_server_live", "with query parameters", *HTTP)
async def live_with_query(client: TritonClient) -> None:
    assert await client("is_server_live", query_params={"a": 1, "b": ["2", "3"]}) is True


@SERVER.works("is_server_live", "of a server that is not ready")
async def live_and_not_ready(client: TritonClient) -> None:
    async with client.idle() as idle:
        assert await idle("is_server_live") is True


@SERVER.fails("is_server_live", "where nobody listens")
async def live_nowhere(client: TritonClient) -> None:
    await client.unreachable("is_server_live")


@SERVER.works("is_server_ready", "answers true")
async def ready(client: TritonClient) -> None:
    assert await client("is_server_ready") is True


@SERVER.works("is_server_ready", "within a time limit of the client", *GRPC)
async def ready_in_time(client: TritonClient) -> None:
    assert await client("is_server_ready", client_timeout=30.0) is True


@SERVER.fails("is_server_ready", "false of a server that is not ready")
async def not_ready(client: TritonClient) -> None:
    async with client.idle() as idle:
        assert await idle("is_server_ready") is False
        assert await idle("is_model_ready", client.models.sums) is False
        assert (await idle.plain("get_server_metadata"))["name"]


@SERVER.fails("is_server_ready", "where nobody listens")
async def ready_nowhere(client: TritonClient) -> None:
    await client.unreachable("is_server_ready")


@SERVER.works("is_model_ready", "true for a model, and for each of its versions")
async def model_ready(client: TritonClient) -> None:
    assert await client("is_model_ready", client.models.sums) is True
    assert await client("is_model_ready", client.models.versions, "1") is True
    assert await client("is_model_ready", client.models.versions, "2", headers={"x-extra": "1"}) is True


@SERVER.fails("is_model_ready", "false for an unknown model, an unknown version and a broken model")
async def model_not_ready(client: TritonClient) -> None:
    assert await client("is_model_ready", UNKNOWN) is False
    assert await client("is_model_ready", client.models.sums, "77") is False
    assert await client("is_model_ready", client.models.broken) is False


@SERVER.works("get_server_metadata", "name, version and extensions")
async def server_metadata(client: TritonClient) -> None:
    answer = await client.plain("get_server_metadata")
    assert answer["name"]
    assert answer["version"]
    assert all(isinstance(extension, str) for extension in answer["extensions"])
    wanted = {"classification", "binary_tensor_data", "model_configuration", "model_repository", "statistics"}
    assert wanted <= set(answer["extensions"]), answer["extensions"]


@SERVER.fails("get_server_metadata", "where nobody listens")
async def server_metadata_nowhere(client: TritonClient) -> None:
    await client.unreachable("get_server_metadata")


@SERVER.works("get_model_metadata", "tensors, datatypes, shapes and versions")
async def model_metadata(client: TritonClient) -> None:
    answer = await client.plain("get_model_metadata", client.models.sums)
    assert answer["name"] == client.models.sums
    assert answer["versions"] == ["1"]
    assert answer["platform"]
    assert _described(answer["inputs"]) == [("INPUT0", "FP32", [-1, 4]), ("INPUT1", "FP32", [-1, 4])]
    assert _described(answer["outputs"]) == [("SUM", "FP32", [-1, 4]), ("DIFFERENCE", "FP32", [-1, 4])]
    several = await client.plain("get_model_metadata", client.models.versions)
    assert sorted(several["versions"]) == ["1", "2"]
    one = await client.plain("get_model_metadata", client.models.versions, "2")
    assert "2" in one["versions"]


@SERVER.works("get_model_metadata", "every datatype by the protocol's name")
async def datatypes(client: TritonClient) -> None:
    answer = await client.plain("get_model_metadata", client.models.types)
    assert all(entry["name"] == f"IN_{entry['datatype']}" for entry in answer["inputs"]), answer
    text = await client.plain("get_model_metadata", client.models.text)
    assert _described(text["inputs"]) == [("IN_STRING", "BYTES", [-1])]


@SERVER.fails("get_model_metadata", "of an unknown model, and of an unknown version")
async def no_metadata(client: TritonClient) -> None:
    await client.refused("get_model_metadata", UNKNOWN, naming=UNKNOWN)
    await client.refused("get_model_metadata", client.models.sums, "77", naming="77")


@SERVER.works("get_model_config", "Triton's configuration, with the batching that was asked for")
async def model_config(client: TritonClient) -> None:
    config = await config_of(client, client.models.sums)
    assert config["name"] == client.models.sums
    assert int(config["max_batch_size"]) == 8
    inputs = [(entry["name"], entry["data_type"], list(map(int, entry["dims"]))) for entry in config["input"]]
    assert inputs == [("INPUT0", "TYPE_FP32", [4]), ("INPUT1", "TYPE_FP32", [4])]
    assert [int(size) for size in config["dynamic_batching"]["preferred_batch_size"]] == [4, 8]
    assert [entry["name"] for entry in config["output"]] == ["SUM", "DIFFERENCE"]


@SERVER.works("get_model_config", "of one version")
async def version_config(client: TritonClient) -> None:
    config = await config_of(client, client.models.versions, "1")
    assert config["name"] == client.models.versions
    assert int(config.get("max_batch_size", 0)) == 0


@SERVER.fails("get_model_config", "of an unknown model, and of an unknown version")
async def no_config(client: TritonClient) -> None:
    await client.refused("get_model_config", UNKNOWN, naming=UNKNOWN)
    await client.refused("get_model_config", client.models.sums, "77", naming="77")


@SERVER.works("get_model_repository_index", "every model with its state, and why one is not there")
async def index(client: TritonClient) -> None:
    entries = await index_of(client)
    ready = {(entry["name"], entry.get("version")) for entry in entries if entry.get("state") == "READY"}
    wanted = {(client.models.sums, "1"), (client.models.versions, "1"), (client.models.versions, "2")}
    assert wanted <= ready, ready
    broken = [entry for entry in entries if entry["name"] == client.models.broken]
    assert broken
    assert all(entry.get("state") != "READY" and entry.get("reason") for entry in broken), broken


@SERVER.fails("get_model_repository_index", "where nobody listens")
async def index_nowhere(client: TritonClient) -> None:
    await client.unreachable("get_model_repository_index")


@SERVER.works("register_plugin", "sees and adds the headers of every request")
async def registered(client: TritonClient) -> None:
    async with client.another() as own:
        plugin = _Plugin()
        await own("register_plugin", plugin)
        assert await own("is_server_live") is True
        await own("infer", own.models.sums, sums_of(own, *pair()))
        assert plugin.seen == 2


@SERVER.fails("register_plugin", "a second one")
async def registered_twice(client: TritonClient) -> None:
    async with client.another() as own:
        await own("register_plugin", _Plugin())
        await _refused_here(own, "register_plugin", _Plugin())


@SERVER.works("plugin", "the one that is registered")
async def plugin(client: TritonClient) -> None:
    async with client.another() as own:
        assert await own("plugin") is None
        given = _Plugin()
        await own("register_plugin", given)
        assert await own("plugin") is given


@SERVER.works("unregister_plugin", "is called no more")
async def unregistered(client: TritonClient) -> None:
    async with client.another() as own:
        given = _Plugin()
        await own("register_plugin", given)
        await own("unregister_plugin")
        assert await own("is_server_live") is True
        assert given.seen == 0


@SERVER.fails("unregister_plugin", "where none is registered")
async def nothing_to_unregister(client: TritonClient) -> None:
    async with client.another() as own:
        await _refused_here(own, "unregister_plugin")


@SERVER.works("close", "after which another client still works")
async def closed(client: TritonClient) -> None:
    async with client.another() as own:
        assert await own("is_server_live") is True
        await own("close")
    assert await client("is_server_live") is True


@SERVER.fails("close", "a call of a closed client", *GRPC, "triton-http-aio")
async def asked_when_closed(client: TritonClient) -> None:
    async with client.another() as own:
        await own("close")
        try:
            answer = await own("is_server_live")
        except Exception:  # each client has a kind of its own for this
            return
    raise AssertionError(f"a closed client answered {answer!r}")


@SERVER.fails("close", "twice does no harm", "triton-http")
async def closed_twice(client: TritonClient) -> None:
    async with client.another() as own:
        await own("close")
        await own("close")


async def config_of(client: TritonClient, name: str, version: str = "") -> dict[str, Any]:
    """A model's configuration as JSON."""
    answer = await client.plain("get_model_config", name, version)
    return answer["config"] if client.transport == "grpc" else answer


async def index_of(client: TritonClient) -> list[dict[str, Any]]:
    """The index's entries."""
    answer = await client.plain("get_model_repository_index")
    return answer["models"] if client.transport == "grpc" else answer


async def _refused_here(client: TritonClient, call: str, *args: Any) -> None:
    """Refused by the client itself, so without a status."""
    try:
        await client(call, *args)
    except client.error:
        return
    raise AssertionError(f"{call} was taken")


def _described(tensors: list[dict[str, Any]]) -> list[tuple[str, str, list[int]]]:
    return [(entry["name"], entry["datatype"], list(map(int, entry["shape"]))) for entry in tensors]


class _Plugin:
    def __init__(self) -> None:
        self.seen = 0

    def __call__(self, request: Any) -> None:
        self.seen += 1
        request.headers["x-conformance"] = "plugged"

from __future__ import annotations

from collections.abc import Mapping

import pytest

from tests.support.told_server import Told
from trireme_common.errors import Code, TriremeError
from trireme_common.stage_state import ModelVersion, State, TensorInfo
from trireme_gateway.hop.oip.models import RENEW_SECONDS, Served, ServerModels
from trireme_gateway.hop.oip.ports import Config, IndexEntry, Metadata, ServerAwayError

UNIMPLEMENTED = TriremeError(Code.UNIMPLEMENTED, "no such method")
X = TensorInfo("x", "FP32", (-1, 4))


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def models_of(
    server: Told, wanted: Mapping[str, Mapping[str, int]] | None = None, clock: Clock | None = None
) -> ServerModels:
    return ServerModels(server, lambda: wanted or {}, clock or Clock())


def said(model: ModelVersion) -> tuple[str, str, State, str]:
    return model.name, model.version, model.state, model.reason


async def test_an_index_tells_every_model() -> None:
    server = Told(
        [
            IndexEntry("m", "1"),
            IndexEntry("m", "2", State.LOADING),
            IndexEntry("broken", "1", State.UNAVAILABLE, "no weights"),
            IndexEntry("mute", "1", State.UNAVAILABLE),
        ],
        {"m": Metadata(("1",), "onnxruntime_onnx", (X,), (X,))},
    )
    models = models_of(server)
    state = await models.look()
    assert [said(model) for model in state.models] == [
        ("m", "1", State.READY, ""),
        ("m", "2", State.LOADING, ""),
        ("broken", "1", State.UNAVAILABLE, "no weights"),
        ("mute", "1", State.UNAVAILABLE, "the inference server says that it is unavailable"),
    ]
    found = state.models[0].descriptor
    assert found is not None
    assert (found.task, found.platform, found.inputs) == ("", "onnxruntime_onnx", (X,))
    assert (found.max_batch_size, found.config) == (8, '{"name": "m"}')
    assert models.served == {("m", "1"): Served("1", 8)}


async def test_the_digest_is_of_what_the_server_says() -> None:
    server = Told([IndexEntry("m", "1")], {"m": Metadata()})
    first = (await models_of(server).look()).models[0].descriptor
    same = (await models_of(server).look()).models[0].descriptor
    server.configured = Config("{}", 4)
    other = (await models_of(server).look()).models[0].descriptor
    assert first == same
    assert first is not None
    assert other is not None
    assert first.digest != other.digest


async def test_a_model_without_a_number_is_version_1_and_asked_without() -> None:
    models = models_of(Told([IndexEntry("m")], {"m": Metadata()}))
    assert [said(model) for model in (await models.look()).models] == [("m", "1", State.READY, "")]
    assert models.served == {("m", "1"): Served("", 8)}


@pytest.mark.parametrize(
    ("inputs", "most_rows"),
    [((X,), 16), ((X, TensorInfo("n", "INT32", (1,))), 0), ((), 0)],
    ids=["rows are free", "not of every tensor", "nothing is told"],
)
async def test_without_configuration_model_yaml_says_the_rows(
    inputs: tuple[TensorInfo, ...], most_rows: int
) -> None:
    server = Told([IndexEntry("m", "1")], {"m": Metadata(inputs=inputs)}, UNIMPLEMENTED)
    models = models_of(server, {"m": {"1": 16}})
    await models.look()
    assert models.served == {("m", "1"): Served("1", most_rows)}


async def test_what_the_configuration_says_of_rows_stands() -> None:
    server = Told([IndexEntry("m", "1")], {"m": Metadata(inputs=(X,))}, Config("{}", 0))
    models = models_of(server, {"m": {"1": 16}})
    await models.look()
    assert models.served == {("m", "1"): Served("1", 0)}


async def test_a_model_that_was_never_loaded_counts_where_the_repository_has_it() -> None:
    server = Told([IndexEntry("m", "", None), IndexEntry("theirs", "", None)])
    state = await models_of(server, {"m": {"1": 16}}).look()
    assert [said(model) for model in state.models] == [
        ("m", "", State.UNAVAILABLE, "it is not loaded at the inference server")
    ]


async def test_what_the_repository_has_and_the_server_lacks_is_said() -> None:
    server = Told([IndexEntry("m", "3"), IndexEntry("n", "2")], {"m": Metadata(), "n": Metadata()})
    state = await models_of(server, {"m": {"1": 16}, "n": {"1": 16, "2": 16}, "gone": {"1": 16}}).look()
    assert [said(model) for model in state.models if model.state is State.UNAVAILABLE] == [
        ("m", "1", State.UNAVAILABLE, "the inference server has version 3 of it"),
        ("gone", "1", State.UNAVAILABLE, "the inference server does not have it ready"),
    ]


async def test_names_that_no_repository_could_have_are_passed_over() -> None:
    server = Told([IndexEntry("../m", "1"), IndexEntry("m.inference", "1")])
    assert (await models_of(server).look()).models == ()


async def test_a_version_is_described_once_and_again_after_a_while() -> None:
    server, clock = Told([IndexEntry("m", "1")], {"m": Metadata()}), Clock()
    models = models_of(server, clock=clock)
    await models.look()
    await models.look()
    assert server.described == [("m", "1")]
    clock.now += RENEW_SECONDS
    await models.look()
    assert server.described == [("m", "1")] * 2


async def test_a_version_that_was_away_is_described_anew() -> None:
    server = Told([IndexEntry("m", "1")], {"m": Metadata()})
    models = models_of(server)
    await models.look()
    server.entries = [IndexEntry("m", "1", State.LOADING)]
    await models.look()
    assert models.served == {}
    server.entries = [IndexEntry("m", "1")]
    await models.look()
    assert server.described == [("m", "1")] * 2


async def test_without_an_index_the_repositorys_models_are_asked() -> None:
    server = Told(UNIMPLEMENTED, {"m": Metadata(("1", "2"))}, unready={("m", "1")})
    models = models_of(server, {"m": {"1": 16, "2": 16}, "gone": {"1": 16}})
    state = await models.look()
    assert [said(model) for model in state.models] == [
        ("m", "2", State.READY, ""),
        ("gone", "1", State.UNAVAILABLE, "the inference server does not have it ready"),
    ]
    server.models["gone"] = Metadata()
    assert ("gone", "1") in {(model.name, model.version) for model in (await models.look()).models}
    assert models.served[("gone", "1")] == Served("", 8)


@pytest.mark.parametrize(
    "server",
    [Told(UNIMPLEMENTED, ready=False), Told(ServerAwayError("not ready"))],
    ids=["it says so", "it refuses"],
)
async def test_a_server_that_is_not_ready_drains(server: Told) -> None:
    state = await models_of(server).look()
    assert state.draining
    assert state.models == ()


@pytest.mark.parametrize(
    "error", [ServerAwayError("gone"), TriremeError(Code.DEADLINE_EXCEEDED, "no answer")]
)
async def test_a_server_that_does_not_answer_is_lost(error: TriremeError) -> None:
    with pytest.raises(TriremeError):
        await models_of(Told(error, connected=False)).look()


async def test_a_model_that_cannot_be_described_is_unavailable() -> None:
    state = await models_of(Told([IndexEntry("m", "1")])).look()
    assert [said(model) for model in state.models] == [("m", "1", State.UNAVAILABLE, "unknown model")]

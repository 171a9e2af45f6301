"""The use case over endpoints that answer, are silent, or do not have the model."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from tests.support.catalogs import catalog, version
from trireme_common.errors import Code, TriremeError
from trireme_common.stage_state import State
from trireme_gateway.catalog import Catalog
from trireme_gateway.statistics.model_statistics import CacheCounts, Duration, ModelStatistics
from trireme_gateway.statistics.summary import Statistics, Unanswered


@dataclass
class Replicas:
    """Answers by address; an address without one is silent."""

    answers: dict[str, list[ModelStatistics]]
    silent: Sequence[str] = ()
    asked: list[tuple[str, str, str, float]] = field(default_factory=list)

    def addresses(self) -> list[str]:
        return [*self.answers, *self.silent]

    async def ask(self, address: str, name: str, version: str, seconds: float) -> list[ModelStatistics]:
        self.asked.append((address, name, version, seconds))
        if address not in self.answers:
            raise Unanswered(address)
        return [
            one for one in self.answers[address] if name in ("", one.name) and version in ("", one.version)
        ]


CACHED = {("sentiment-zh", "1"): CacheCounts(Duration(5, 50), Duration(2, 20))}


def ran(name: str, times: int, number: str = "1") -> ModelStatistics:
    return ModelStatistics(name, number, inferences=times, inference={"success": Duration(times, times)})


def two_replicas(*silent: str) -> Replicas:
    return Replicas(
        {"a:1": [ran("digits", 1), ran("sentiment-zh", 10)], "b:1": [ran("sentiment-zh", 3)]}, silent
    )


def statistics(replicas: Replicas, found: Catalog | None = None) -> Statistics:
    known = found if found is not None else catalog("sentiment-zh", "digits")
    return Statistics(known, replicas.addresses, replicas.ask, lambda: CACHED, clock=lambda: 100.0)


async def test_a_pipeline_shows_the_runs_of_all_replicas_and_the_cache_before_them() -> None:
    (found,) = await statistics(two_replicas()).of("sentiment-zh", "", 200.0)
    assert (found.name, found.inferences) == ("sentiment-zh", 13)
    assert found.inference["success"] == Duration(18, 13 + 70)
    assert found.inference["cache_hit"] == Duration(5, 50)


async def test_its_bare_model_shows_the_same_runs_without_the_cache() -> None:
    replicas = two_replicas()
    (found,) = await statistics(replicas).of("sentiment-zh.inference", "1", 200.0)
    assert (found.name, found.inferences) == ("sentiment-zh.inference", 13)
    assert found.inference == {"success": Duration(13, 13)}
    assert [(name, number) for _, name, number, _ in replicas.asked] == [("sentiment-zh", "1")] * 2


async def test_all_models_are_told_once_each() -> None:
    found = await statistics(two_replicas()).of("", "", 200.0)
    assert [(one.name, one.inferences) for one in found] == [("digits", 1), ("sentiment-zh", 13)]
    assert found[1].inference["cache_hit"] == Duration(5, 50)


async def test_an_endpoint_that_is_silent_is_left_out() -> None:
    (found,) = await statistics(two_replicas("c:1")).of("sentiment-zh", "", 200.0)
    assert found.inferences == 13


@pytest.mark.parametrize("silent", [(), ("a:1", "b:1")])
async def test_where_nobody_answers_that_is_said(silent: tuple[str, ...]) -> None:
    with pytest.raises(TriremeError) as caught:
        await statistics(Replicas({}, silent)).of("", "", 200.0)
    assert caught.value.code is Code.BACKEND_UNAVAILABLE


@pytest.mark.parametrize(("deadline", "seconds"), [(101.0, 0.8), (500.0, 2.0)])
async def test_nobody_is_waited_for_beyond_the_request_s_time(deadline: float, seconds: float) -> None:
    replicas = two_replicas()
    await statistics(replicas).of("", "", deadline)
    assert [asked[3] for asked in replicas.asked] == [pytest.approx(seconds)] * 2


async def test_a_request_without_time_is_refused() -> None:
    replicas = two_replicas()
    with pytest.raises(TriremeError) as caught:
        await statistics(replicas).of("", "", 100.0)
    assert caught.value.code is Code.DEADLINE_EXCEEDED
    assert not replicas.asked


@pytest.mark.parametrize(
    ("name", "number", "code", "detail"),
    [
        ("nobody", "", Code.MODEL_NOT_FOUND, "requested model 'nobody' is not available; models: "),
        ("digits", "9", Code.MODEL_NOT_FOUND, "requested model version is not available for model 'digits'"),
        ("digits.inference", "9", Code.MODEL_NOT_FOUND, "not available for model 'digits.inference'"),
        ("loading", "", Code.MODEL_NOT_READY, "loading"),
        ("elsewhere", "", Code.MODEL_NOT_READY, "requested model 'elsewhere' is not available"),
    ],
)
async def test_a_model_that_is_not_served_is_said_in_tritons_words(
    name: str, number: str, code: Code, detail: str
) -> None:
    known = catalog("sentiment-zh", "digits", "elsewhere", version("loading", found=State.LOADING))
    with pytest.raises(TriremeError) as caught:
        await statistics(two_replicas(), known).of(name, number, 200.0)
    assert caught.value.code is code
    assert detail in caught.value.detail


async def test_a_gateway_without_endpoints_has_none() -> None:
    with pytest.raises(TriremeError) as caught:
        await Statistics(clock=lambda: 0.0).of("", "", 1.0)
    assert caught.value.code is Code.BACKEND_UNAVAILABLE

from __future__ import annotations

import pytest

from tests.support.catalogs import LABELS, catalog, descriptor, state, version
from trireme_common.errors import Code, TriremeError
from trireme_common.stage_state import ModelVersion, StageState, State
from trireme_gateway.catalog import INFERENCE, POSTPROCESS, PREPROCESS, STAGES, Asleep, Catalog


def of(**stages: list[StageState]) -> Catalog:
    found = Catalog()
    found.rebuild(stages)
    return found


def refusal(found: Catalog, name: str, number: str | None = None) -> TriremeError:
    with pytest.raises(TriremeError) as refused:
        found.resolve(name, number)
    return refused.value


def test_a_version_is_routable_when_every_stage_has_it() -> None:
    found = catalog("m")
    assert found.ready
    assert found.was_ready
    assert found.names() == ["m"]
    assert found.device == "cpu"
    route = found.resolve("m")
    assert (route.name, route.model, route.version, route.bare) == ("m", "m", "1", False)
    assert route.digests == ("d" * 64,) * 3
    assert route.descriptor.labels == LABELS


@pytest.mark.parametrize("missing", STAGES)
def test_a_stage_that_lacks_the_version_keeps_it_out(missing: str) -> None:
    stages = {stage: [state("m")] for stage in STAGES}
    stages[missing] = [state(version("m", found=State.LOADING))]
    found = of(**stages)
    assert not found.ready
    assert found.names() == []
    assert refusal(found, "m").code is Code.MODEL_NOT_READY
    assert found.health()["m"].state is State.LOADING


def test_stages_may_have_it_at_different_endpoints() -> None:
    one, two = state(version("m", "1")), state(version("m", "2"))
    found = of(**{PREPROCESS: [one, two], INFERENCE: [two], POSTPROCESS: [one, two]})
    assert found.versions("m") == ["2"]
    assert found.connected == {PREPROCESS: 2, INFERENCE: 1, POSTPROCESS: 2}


def test_the_newest_ready_version_answers_and_others_by_their_number() -> None:
    found = catalog(*(version("m", number) for number in ("2", "10", "9")))
    assert found.resolve("m").version == "10"
    assert found.resolve("m", "9").version == "9"
    assert found.versions("m") == ["2", "9", "10"]
    error = refusal(found, "m", "3")
    assert error.code is Code.MODEL_NOT_FOUND
    assert "2, 9, 10" in error.detail


def test_a_version_about_to_be_unloaded_serves_while_nothing_newer_is_routable() -> None:
    old = version("m", "1", State.UNLOADING)
    stages = {stage: [state(old, version("m", "2"))] for stage in STAGES}
    stages[POSTPROCESS] = [state(old)]
    found = of(**stages)
    assert found.resolve("m").version == "1"
    stages[POSTPROCESS] = [state(old, version("m", "2"))]
    found.rebuild(stages)
    assert found.resolve("m").version == "2"
    assert found.resolve("m", "1").version == "1"


def test_versions_of_a_foreign_server_need_not_be_numbers() -> None:
    found = catalog(version("m", "beta"), version("m", "3"))
    assert found.versions("m") == ["beta", "3"]
    assert found.resolve("m").version == "3"


def test_the_bare_tensor_model_of_a_pipeline() -> None:
    found = catalog("m", version("t", task="tensor"))
    route = found.resolve("m.inference")
    assert (route.name, route.model, route.bare) == ("m.inference", "m", True)
    assert found.resolve("t").bare
    assert found.resolve("t.inference").bare
    assert found.resolve("m.inference") is route
    assert found.versions("m.inference") == ["1"]


def test_until_a_model_was_ready_everything_is_loading() -> None:
    found = Catalog()
    assert refusal(found, "m").code is Code.MODEL_NOT_READY
    with pytest.raises(TriremeError) as refused:
        found.default_for(("text-classification",), None, "texts")
    assert refused.value.code is Code.MODEL_NOT_READY


def test_an_unknown_model_is_named_with_those_there_are() -> None:
    error = refusal(catalog("a", "b"), "c")
    assert error.code is Code.MODEL_NOT_FOUND
    assert "a, b" in error.detail


@pytest.mark.parametrize("lost", [STAGES, (INFERENCE,)])
def test_stages_that_are_gone_make_no_model_unknown(lost: tuple[str, ...]) -> None:
    found = catalog("m")
    found.rebuild({stage: [] if stage in lost else [state("m")] for stage in STAGES})
    error = refusal(found, "m")
    assert error.code is Code.BACKEND_UNAVAILABLE
    assert "inference" in error.detail
    with pytest.raises(TriremeError) as refused:
        found.default_for(("text-classification",), None, "texts")
    assert refused.value.code is Code.BACKEND_UNAVAILABLE
    assert found.was_ready
    assert not found.ready


def test_a_model_that_cannot_be_loaded_says_why() -> None:
    bad = version("bad", found=State.UNAVAILABLE, reason="truncated file")
    broken = ModelVersion("broken", "", State.UNAVAILABLE, "line 3: unknown key")
    found = catalog("good", bad, broken)
    assert found.ready
    error = refusal(found, "bad")
    assert error.code is Code.MODEL_NOT_READY
    assert "truncated file" in error.detail
    health = found.health()
    assert health["bad"].state is State.UNAVAILABLE
    assert health["bad"].reason == "version 1: truncated file"
    assert health["broken"].reason == "line 3: unknown key"
    assert health["good"].state is State.READY


def test_a_bad_new_version_is_shown_beside_the_good_one() -> None:
    found = catalog("m", version("m", "2", State.UNAVAILABLE, reason="wrong golden answer"))
    health = found.health()["m"]
    assert (health.state, health.version, health.reason) == (
        State.READY,
        "1",
        "version 2: wrong golden answer",
    )


def test_the_default_is_the_only_model_of_its_kind_or_the_configured_one() -> None:
    texts = ("text-classification",)
    found = catalog("a", version("t", task="tabular"))
    assert found.default_for(texts, None, "texts").name == "a"
    assert found.default_for(texts, "t", "texts").name == "t"
    two = catalog("a", "b", version("t", task="tabular"))
    with pytest.raises(TriremeError) as refused:
        two.default_for(texts, None, "texts")
    assert refused.value.code is Code.INVALID_ARGUMENT
    assert "a, b" in refused.value.detail
    assert two.default_for(texts, "b", "texts").name == "b"
    with pytest.raises(TriremeError) as refused:
        found.default_for(("image-classification",), None, "a file")
    assert refused.value.code is Code.INVALID_ARGUMENT
    assert "no model for a file" in refused.value.detail


def test_the_best_state_over_the_endpoints_of_a_stage_counts() -> None:
    loading = state(version("m", found=State.LOADING))
    found = of(**{stage: [loading, state("m")] for stage in STAGES})
    assert found.health()["m"].state is State.READY
    assert found.resolve("m").descriptor == descriptor()


def sleeping(*models: str | ModelVersion) -> Catalog:
    """Preprocess and postprocess have `models`, and inference may be away."""
    found = Catalog(inference_sleeps=True)
    found.rebuild({PREPROCESS: [state(*models)], POSTPROCESS: [state(*models)]})
    return found


def test_a_model_that_only_inference_lacks_is_asleep() -> None:
    found = sleeping("m")
    assert (found.ready, found.rousable, found.asleep("m")) == (False, True, True)
    assert found.names() == ["m"]
    error = refusal(found, "m.inference")
    assert isinstance(error, Asleep)
    assert (error.code, error.model) == (Code.MODEL_NOT_READY, "m")


def test_with_inference_away_an_unknown_model_is_still_unknown() -> None:
    found = sleeping("m")
    error = refusal(found, "nobody")
    assert error.code is Code.MODEL_NOT_FOUND
    assert "served: m" in error.detail
    with pytest.raises(TriremeError) as several:
        sleeping("m", "n").default_for(("text-classification",), None, "texts")
    assert several.value.code is Code.INVALID_ARGUMENT


@pytest.mark.parametrize("silent", [PREPROCESS, POSTPROCESS])
def test_before_both_have_listed_their_models_nobody_is_unknown_or_asleep(silent: str) -> None:
    found = Catalog(inference_sleeps=True)
    found.rebuild({stage: [state("m")] for stage in STAGES if stage not in (silent, INFERENCE)})
    assert not found.rousable
    for name in ("m", "nobody"):
        error = refusal(found, name)
        assert error.code is Code.MODEL_NOT_READY
        assert not isinstance(error, Asleep)


def test_once_it_has_served_the_reason_is_the_endpoint() -> None:
    found = catalog("m")
    found.rebuild({PREPROCESS: [state("m")], POSTPROCESS: [state("m")]})
    error = refusal(found, "m")
    assert isinstance(error, Asleep)
    assert error.code is Code.BACKEND_UNAVAILABLE
    assert found.names() == []  # inference was not said to sleep


@pytest.mark.parametrize(
    ("inference", "asleep"),
    [
        ((), True),
        ((version("other"),), True),
        ((version("m", found=State.LOADING),), True),
        ((version("m", "2", State.UNAVAILABLE, "bad"), version("m", "1", State.LOADING)), True),
        ((version("m", found=State.UNAVAILABLE, reason="bad"),), False),
        ((version("m", "7"),), False),
    ],
)
def test_what_inference_says_of_a_model_decides_whether_it_is_asleep(
    inference: tuple[ModelVersion, ...], asleep: bool
) -> None:
    found = Catalog(inference_sleeps=True)
    others = [state("m", version("m", "2"))]
    found.rebuild({PREPROCESS: others, POSTPROCESS: others, INFERENCE: [state(*inference)]})
    assert found.asleep("m") is asleep
    assert isinstance(refusal(found, "m"), Asleep) is asleep


def test_a_version_that_waits_for_another_stage_is_shown() -> None:
    one, two = version("m", "1"), version("m", "2")
    found = of(**{PREPROCESS: [state(one, two)], INFERENCE: [state(one, two)], POSTPROCESS: [state(one)]})
    assert [(each.version, each.state, each.reason) for each in found.statuses()] == [
        ("1", State.READY, ""),
        ("2", State.UNAVAILABLE, "waits until every stage has it"),
    ]
    # What inference has given up is nobody's business.
    found = of(**{PREPROCESS: [state(one, two)], INFERENCE: [state(one)], POSTPROCESS: [state(one, two)]})
    assert [each.version for each in found.statuses()] == ["1"]

from __future__ import annotations

import pytest

from tests.support.catalogs import LABELS, descriptor, state, version
from trireme_common.errors import Code, TriremeError
from trireme_common.stage_state import ModelDescriptor, ModelVersion, StageState, State, TensorInfo
from trireme_gateway.catalog import INFERENCE, POSTPROCESS, PREPROCESS, Catalog
from trireme_gateway.foreign_models import adopted, versions_in

SAID = ModelDescriptor(
    task="",
    platform="tensorrt_plan",
    inputs=(TensorInfo("x", "FP16", (-1, 4)),),
    outputs=(TensorInfo("y", "FP16", (-1, 3)),),
    max_batch_size=64,
    digest="f" * 64,
    config='{"name": "m"}',
)


def foreign(name: str, number: str = "1") -> ModelVersion:
    return ModelVersion(name, number, State.READY, descriptor=SAID)


def catalog(inference: StageState, *, repository: StageState) -> Catalog:
    found = Catalog()
    found.rebuild({PREPROCESS: [repository], INFERENCE: [inference], POSTPROCESS: [repository]})
    return found


def test_what_our_inference_says_stands_as_it_is() -> None:
    ours = descriptor(digest="e" * 64)
    assert adopted(descriptor(), ours) is ours


def test_a_version_of_the_repository_keeps_what_model_yaml_says() -> None:
    repository = state(version("m", max_items=7, cache_enabled=True))
    route = catalog(state(foreign("m")), repository=repository).resolve("m")
    assert (route.descriptor.task, route.descriptor.max_items) == ("text-classification", 7)
    assert route.descriptor.labels == LABELS
    assert route.descriptor.cache_enabled
    assert (route.descriptor.platform, route.descriptor.inputs) == (SAID.platform, SAID.inputs)
    assert route.descriptor.config == SAID.config
    assert route.digests == ("d" * 64, "f" * 64, "d" * 64)
    assert not route.bare


def test_versions_must_be_those_of_the_repository() -> None:
    found = catalog(state(foreign("m", "3")), repository=state(version("m", "1")))
    with pytest.raises(TriremeError) as refused:
        found.resolve("m")
    assert refused.value.code is Code.MODEL_NOT_READY


def test_a_model_that_the_repository_lacks_is_bare_and_not_kept() -> None:
    found = catalog(state(foreign("theirs", "3"), foreign("m")), repository=state("m"))
    assert found.names() == ["m", "theirs"]
    for name in ("theirs", "theirs.inference"):
        route = found.resolve(name)
        assert (route.version, route.bare, route.descriptor.cache_enabled) == ("3", True, False)
    assert found.health()["theirs"].state is State.READY


def test_nothing_is_bare_before_the_repository_is_known() -> None:
    found = catalog(state(foreign("m")), repository=state())
    assert found.names() == []


def test_a_model_of_ours_is_never_bare_for_want_of_other_stages() -> None:
    found = catalog(state("ours", "m"), repository=state("m"))
    assert found.names() == ["m"]


def test_versions_are_those_that_are_there() -> None:
    bad = version("m", "3", State.UNAVAILABLE)
    assert versions_in([state(version("m"), bad), state(version("m", "2"), "n")]) == {
        "m": {"1": 32, "2": 32},
        "n": {"1": 32},
    }

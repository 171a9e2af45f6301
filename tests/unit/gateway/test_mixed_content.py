from __future__ import annotations

import pytest

from tests.support.catalogs import state, version
from trireme_common.stage_state import ModelVersion, StageState, State
from trireme_gateway.catalog import STAGES, Catalog
from trireme_gateway.mixed_content import best_of


def content(digest: str, found: State = State.READY) -> ModelVersion:
    return version("m", "1", found, digest=digest, cache_enabled=True)


def cached(**stages: list[StageState]) -> bool:
    found = Catalog()
    found.rebuild({stage: stages.get(stage, [state(content("old"))]) for stage in STAGES})
    return found.resolve("m").descriptor.cache_enabled


@pytest.mark.parametrize("stage", STAGES)
def test_while_endpoints_differ_in_content_no_answer_is_kept(stage: str) -> None:
    old, new = state(content("old")), state(content("new"))
    assert cached(**{stage: [old, old]})
    assert not cached(**{stage: [old, new]})
    assert not cached(**{stage: [new, old, new]})
    assert cached(**{stage: [new, new]})


def test_an_endpoint_that_is_about_to_unload_still_answers() -> None:
    leaving, new = content("old", State.UNLOADING), content("new")
    for found in (best_of(leaving, new), best_of(new, leaving)):
        assert found.state is State.READY
        assert found.descriptor is not None
        assert (found.descriptor.digest, found.descriptor.cache_enabled) == ("new", False)


def test_an_endpoint_that_has_nothing_yet_changes_nothing() -> None:
    ready, loading = content("new"), version("m", "1", State.LOADING)
    assert best_of(loading, ready) is ready
    assert best_of(ready, loading) is ready


def test_a_model_that_is_not_cached_stays_so() -> None:
    off = version("m", "1", digest="old", cache_enabled=False)
    assert not cached(inference=[state(off)])

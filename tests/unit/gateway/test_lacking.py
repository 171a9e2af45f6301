"""What preprocess and postprocess lack, as a gateway concludes it from their endpoints."""

from __future__ import annotations

import pytest

from tests.support.catalogs import state, version
from tests.support.fleets import Fleet
from trireme_common.stage_state import ModelVersion, State
from trireme_gateway.catalog import INFERENCE, POSTPROCESS, PREPROCESS, STAGES, Catalog
from trireme_gateway.lacking import lacking_versions

NONE: frozenset[tuple[str, str]] = frozenset()
TWO = frozenset({("m", "2")})


def seen(*models: ModelVersion) -> dict[tuple[str, str], ModelVersion]:
    return {(model.name, model.version): model for model in models}


ONE = version("m", "1")
BOTH = seen(ONE, version("m", "2"))
BAD = seen(ONE, version("m", "2", State.UNAVAILABLE, "no vocabulary"))
LOADING = seen(ONE, version("m", "2", State.LOADING))
BROKEN = seen(version("m", "", State.UNAVAILABLE, "model.yaml is bad"))


@pytest.mark.parametrize("before", [NONE, TWO])
@pytest.mark.parametrize(
    ("keepers", "lacking"),
    [
        ((BOTH, BOTH), NONE),
        ((BAD, BOTH), TWO),
        ((BOTH, BAD), TWO),
        ((BAD, {}), TWO),
        ((BOTH, seen(ONE)), TWO),  # its files are not there yet
        ((LOADING, BAD), TWO),
    ],
)
def test_a_version_is_lacking_where_a_stage_cannot_have_it(
    keepers: tuple[dict[tuple[str, str], ModelVersion], ...],
    lacking: frozenset[tuple[str, str]],
    before: frozenset[tuple[str, str]],
) -> None:
    assert lacking_versions(BOTH, keepers, before) == lacking


@pytest.mark.parametrize("before", [NONE, TWO])
@pytest.mark.parametrize("keepers", [(LOADING, BOTH), (BOTH, {}), (BOTH, BROKEN), ({}, {})])
def test_a_stage_that_has_not_read_the_model_yet_is_no_news(
    keepers: tuple[dict[tuple[str, str], ModelVersion], ...], before: frozenset[tuple[str, str]]
) -> None:
    assert lacking_versions(BOTH, keepers, before) == before


def test_a_version_that_nobody_knows_any_more_is_forgotten() -> None:
    assert lacking_versions(seen(ONE), (seen(ONE), seen(ONE)), TWO) == NONE


def test_a_model_that_only_a_foreign_server_has_lacks_nothing() -> None:
    assert lacking_versions(seen(version("other", "1")), (BOTH, BOTH), NONE) == TWO - TWO


def test_every_endpoint_of_inference_hears_it_once_and_again_when_it_changes() -> None:
    fleet = Fleet()
    fleet.refresh()
    assert [replica.told_lacking for replica in fleet.inference] == [[NONE]] * 2
    postprocess = fleet.replicas[POSTPROCESS][0]
    postprocess.versions = ("1", "2")
    for _ in range(2):
        fleet.refresh()
    three = frozenset({("m", "3")})
    assert [replica.told_lacking for replica in fleet.inference] == [[NONE, three]] * 2
    assert all(not replica.told_lacking for replica in fleet.all() if replica not in fleet.inference)
    fleet.go(postprocess)  # what is not there says nothing
    assert fleet.inference[0].told_lacking == [NONE, three]
    fleet.come(postprocess)
    postprocess.versions = ("1", "2", "3")
    fleet.refresh()
    assert fleet.inference[0].told_lacking == [NONE, three, NONE]


def test_nothing_is_said_before_the_other_stages_have_spoken() -> None:
    catalog, fleet = Catalog(), Fleet()
    catalog.rebuild({INFERENCE: [state("m")], PREPROCESS: [state("m")]})
    assert catalog.lacking is None
    fleet.desk.tell_lacking(catalog.lacking)
    assert [replica.told_lacking for replica in fleet.inference] == [[NONE]] * 2
    catalog.rebuild({stage: [state("m")] for stage in STAGES})
    assert catalog.lacking == NONE

"""What a scrape sees of the stage's versions."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from trireme_common.metrics import MODEL_READY, export_state
from trireme_common.stage_state import ModelVersion, StageState, State

READY_1 = ModelVersion("a", "1", State.READY)


def scrape() -> dict[tuple[str, str], float]:
    return {
        (sample.labels["model"], sample.labels["version"]): sample.value
        for metric in MODEL_READY.collect()
        for sample in metric.samples
    }


class Scraped(tuple[ModelVersion, ...]):
    """Versions of a state that are scraped while they are read."""

    seen: dict[tuple[str, str], float]

    def __iter__(self) -> Iterator[ModelVersion]:
        self.seen = scrape()
        return super().__iter__()


@pytest.fixture(autouse=True)
def empty_again() -> Iterator[None]:
    yield
    export_state(StageState())


def test_the_gauge_follows_the_state() -> None:
    export_state(
        StageState((READY_1, ModelVersion("b", "1", State.LOADING), ModelVersion("c", "", State.LOADING)))
    )
    assert scrape() == {("a", "1"): 1, ("b", "1"): 0}

    export_state(StageState((ModelVersion("a", "2", State.READY), ModelVersion("b", "1", State.READY))))
    assert scrape() == {("a", "2"): 1, ("b", "1"): 1}


def test_a_scrape_in_between_sees_what_serves() -> None:
    export_state(StageState((READY_1,)))
    models = Scraped((READY_1, ModelVersion("a", "2", State.LOADING)))

    export_state(StageState(models))

    assert models.seen == {("a", "1"): 1}
    assert scrape() == {("a", "1"): 1, ("a", "2"): 0}

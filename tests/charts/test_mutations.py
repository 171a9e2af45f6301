"""Each of the twenty classic mistakes, injected into the chart, is found; see mutations.py."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import pytest

from tests.charts import checks, helm
from tests.charts.checks.renders import RENDER_CHECKS, Renderer
from tests.charts.mutations import MUTATIONS, VALUES, Mutation
from tests.charts.test_manifests import renderer


def test_there_are_twenty_mistakes() -> None:
    assert len({mutation.mistake for mutation in MUTATIONS}) == 20


def test_the_chart_as_it_is_passes() -> None:
    text = _right()
    assert checks.findings(helm.documents(text), text) == []


@pytest.mark.parametrize("mutation", MUTATIONS, ids=str)
def test_a_classic_mistake_is_found(mutation: Mutation, tmp_path: Path) -> None:
    render = renderer(mutation.chart(tmp_path))
    wrong = _outcome(render, mutation.options)
    assert wrong != _right(**mutation.options)
    if mutation.check in RENDER_CHECKS:
        assert list(mutation.check(render))
    elif mutation.check in checks.TEXT_CHECKS:
        assert list(mutation.check(wrong))
    else:
        assert list(mutation.check(helm.documents(wrong)))


@functools.cache
def _right(**options: Any) -> Any:
    return _outcome(renderer(helm.CHART), options)


def _outcome(render: Renderer, options: dict[str, Any]) -> Any:
    """What a render gives, or with what words it is refused."""
    try:
        return render(VALUES, **options)
    except helm.HelmError as refused:
        return str(refused)

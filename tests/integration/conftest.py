"""One platform for the tests that only ask it questions."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tests.support.platform import Platform, copy_models, platform


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """The platform over the models that ship, with an embedded Redis."""
    models = copy_models(tmp_path_factory.mktemp("models"))
    with platform(models, tmp_path_factory.mktemp("platform")) as started:
        yield started


@pytest.fixture
def client(running: Platform) -> Iterator[httpx.Client]:
    """A client of the running platform."""
    with httpx.Client(base_url=running.url, timeout=30) as opened:
        yield opened

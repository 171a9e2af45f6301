"""One platform for the tests that only ask it questions."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.minilm import build_minilm
from tests.support.platform import Platform, copy_models, platform
from tests.support.stage_process import free_port


@pytest.fixture(scope="session")
def metrics_ports() -> dict[str, int]:
    """Where the running platform's services tell their metrics."""
    return {service: free_port() for service in ("gateway", "preprocess", "inference", "postprocess")}


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory, metrics_ports: dict[str, int]) -> Iterator[Platform]:
    """The platform over the models that ship, with an embedded Redis."""
    models = copy_models(tmp_path_factory.mktemp("models"))
    ports = {f"TRIREME_{service.upper()}_METRICS_PORT": str(port) for service, port in metrics_ports.items()}
    with platform(models, tmp_path_factory.mktemp("platform"), **ports) as started:
        yield started


@pytest.fixture
def client(running: Platform) -> Iterator[httpx.Client]:
    """A client of the running platform."""
    with running.client() as opened:
        yield opened


@pytest.fixture(scope="session")
def minilm(pytestconfig: pytest.Config) -> Path:
    """The sentence encoder's directory."""
    return build_minilm(pytestconfig.cache.mkdir("minilm"))


@pytest.fixture(scope="session")
def embedding(minilm: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """The platform over the sentence encoder and a model of another kind."""
    models = copy_models(tmp_path_factory.mktemp("models"), "sentiment-zh")
    shutil.copytree(minilm, models / "minilm")
    with platform(models, tmp_path_factory.mktemp("platform"), "--redis", "off") as started:
        yield started

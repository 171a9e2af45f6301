"""`trireme up` over fake services that are tiny processes themselves."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.unit.cli.running_up import RunningUp

FAKES = Path(__file__).parent / "fake_services"


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with one model, which the fake services do not read."""
    version = tmp_path / "models" / "toy" / "1"
    version.mkdir(parents=True)
    (version / "model.onnx").write_bytes(b"")
    return tmp_path / "models"


@pytest.fixture
def start_up(repository: Path) -> Iterator[Callable[..., RunningUp]]:
    """Starts `trireme up` on free ports over the fakes; keyword arguments are its environment."""
    started: list[RunningUp] = []

    def start(*arguments: str, **environment: str) -> RunningUp:
        ports = ("--http-port", "0", "--grpc-port", "0", "--json")
        found = ("--models", str(repository), *ports, *arguments)
        running = RunningUp(found, {"PYTHONPATH": str(FAKES), **environment})
        started.append(running)
        return running

    yield start
    for running in started:
        running.close()

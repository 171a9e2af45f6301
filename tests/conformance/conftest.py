"""The platform that the clients ask, and what each of them found: asked once, read by several tests."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx
import pytest

from tests.conformance.casebook import Outcome
from tests.conformance.models import write_models
from tests.conformance.ports import closed_port
from tests.conformance.suite import Ask, ask
from tests.conformance.target import Target
from tests.support.platform import Platform, copy_models, platform, stop_all
from tests.support.stage_process import free_port

_STAGES = ("PREPROCESS", "INFERENCE", "POSTPROCESS")
_ALIVE_SECONDS = 60


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """The platform over the suite's models and those that ship."""
    models = write_models(copy_models(tmp_path_factory.mktemp("models")))
    allowed = {"TRIREME_GATEWAY_SHARED_MEMORY": "true"}
    with platform(models, tmp_path_factory.mktemp("platform"), **allowed) as started:
        yield started


@pytest.fixture(scope="session")
def idle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """HTTP and gRPC addresses of a gateway that runs, and whose stages are nowhere."""
    ports = free_port(), free_port()
    with contextlib.ExitStack() as stack:
        nowhere = stack.enter_context(closed_port())
        stages = {f"TRIREME_GATEWAY_{stage}_ADDRESSES": nowhere for stage in _STAGES}
        own = {
            "TRIREME_GATEWAY_HTTP_PORT": str(ports[0]),
            "TRIREME_GATEWAY_GRPC_PORT": str(ports[1]),
            "TRIREME_GATEWAY_DRAIN_SECONDS": "0.1",
        }
        log = stack.enter_context((tmp_path_factory.mktemp("idle") / "gateway.log").open("wb"))
        command = [sys.executable, "-m", "trireme_gateway"]
        process = subprocess.Popen(command, env={**os.environ, **stages, **own}, stderr=log)
        stack.callback(stop_all, process)
        _wait_until_alive(f"http://127.0.0.1:{ports[0]}/livez", process)
        yield f"127.0.0.1:{ports[0]}", f"127.0.0.1:{ports[1]}"


def _wait_until_alive(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _ALIVE_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(url).status_code == 200:
                return
        time.sleep(0.05)
    raise AssertionError("the gateway did not start")


@pytest.fixture(scope="session")
def ask_client(served: Platform, idle: tuple[str, str]) -> Ask:
    """Outcomes of a client, which is asked once."""
    address = urlsplit(served.url).netloc
    target = Target(address, served.grpc, idle_http=idle[0], idle_grpc=idle[1])
    found: dict[str, list[Outcome]] = {}

    def outcomes(client: str) -> list[Outcome]:
        if client not in found:
            found[client] = ask(client, target)
        return found[client]

    return outcomes

"""When is the platform ready: every service listens, the gateway says so, no model is still loading."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import httpx

from trireme_cli.up.ports import reachable_from_here
from trireme_cli.up.processes import Program, StopOrder

POLL_SECONDS = 0.1
_PROBE_SECONDS = 1.0


class Phase(StrEnum):
    STARTING = "starting"
    LISTENING = "listening"
    READY = "ready"


@dataclass(frozen=True)
class ModelState:
    """What the gateway says of a model."""

    state: str
    version: str = ""
    reason: str = ""


@dataclass(frozen=True)
class Snapshot:
    """The platform at one moment."""

    phases: Mapping[str, Phase]
    gateway_ready: bool = False
    models: Mapping[str, ModelState] = field(default_factory=dict)

    def missing(self, expected_models: Collection[str]) -> list[str]:
        """What is still to come before the platform is ready, in words; empty when it is."""
        words = [
            f"{name} does not listen yet" for name, phase in self.phases.items() if phase is Phase.STARTING
        ]
        for name in sorted({*expected_models, *self.models}):
            model = self.models.get(name)
            if model is None:
                words.append(f"model {name} is not reported yet")
            elif model.state == "LOADING":
                words.append(f"model {name} is loading{_because(model)}")
            elif not self.gateway_ready and model.state != "READY":
                words.append(f"model {name} is {model.state}{_because(model)}")
        if not self.gateway_ready:
            words.append("the gateway has no ready route yet (a ready preprocess, inference and postprocess)")
        return words


class Readiness:
    """Watches the services of `programs` from outside, as a client would."""

    def __init__(
        self,
        programs: Sequence[Program],
        url: str,
        expected_models: Collection[str],
        client: httpx.AsyncClient,
    ) -> None:
        self._programs = programs
        self._url = url
        self._expected = expected_models
        self._client = client
        self._listening: set[str] = set()

    async def wait(self, seconds: float, show: Callable[[Snapshot], None]) -> tuple[Snapshot, list[str]]:
        """Looks until nothing is missing or the time is over. Returns the last look and what it missed."""
        deadline = time.monotonic() + seconds
        while True:
            snapshot = await self.look()
            show(snapshot)
            missing = snapshot.missing(self._expected)
            if not missing or time.monotonic() >= deadline:
                return snapshot, missing
            await asyncio.sleep(POLL_SECONDS)

    def forget(self, name: str) -> None:
        """Says that a program has died, so that its address must be tried anew."""
        self._listening.discard(name)

    async def look(self) -> Snapshot:
        unknown = [program for program in self._programs if program.name not in self._listening]
        answers = await asyncio.gather(*(listens(program.address) for program in unknown))
        self._listening.update(program.name for program, yes in zip(unknown, answers, strict=True) if yes)
        ready, models = False, dict[str, ModelState]()
        if any(p.stop_order is StopOrder.GATEWAY and p.name in self._listening for p in self._programs):
            ready, models = await self._gateway_ready(), await self._models()
        phases = {program.name: self._phase(program, ready) for program in self._programs}
        return Snapshot(phases, ready, models)

    def _phase(self, program: Program, gateway_ready: bool) -> Phase:
        if program.name not in self._listening:
            return Phase.STARTING
        return Phase.READY if gateway_ready or program.stop_order is StopOrder.STORE else Phase.LISTENING

    async def _gateway_ready(self) -> bool:
        with suppress(httpx.HTTPError):
            return (await self._client.get(f"{self._url}/readyz")).status_code == httpx.codes.OK
        return False

    async def _models(self) -> dict[str, ModelState]:
        with suppress(httpx.HTTPError, ValueError):
            return parse_models((await self._client.get(f"{self._url}/health")).json())
        return {}


def parse_models(health: Any) -> dict[str, ModelState]:
    """Model states of a /health answer."""
    models = health.get("models") if isinstance(health, dict) else None
    return {
        name: ModelState(
            str(model.get("state", "")), str(model.get("version", "")), str(model.get("reason") or "")
        )
        for name, model in (models or {}).items()
    }


async def listens(address: str) -> bool:
    """Whether something accepts connections at `host:port` or `unix:PATH`."""
    if address.startswith("unix:"):
        opening: Any = asyncio.open_unix_connection(address.removeprefix("unix:"))
    else:
        host, port = address.rsplit(":", 1)
        opening = asyncio.open_connection(reachable_from_here(host.strip("[]")), int(port))
    try:
        async with asyncio.timeout(_PROBE_SECONDS):
            _, writer = await opening
    except OSError:
        return False
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
    return True


def _because(model: ModelState) -> str:
    return f": {model.reason}" if model.reason else ""

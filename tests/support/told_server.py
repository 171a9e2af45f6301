"""A foreign inference server that says what a test lets it say, without a network."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from trireme_common.errors import Code, TriremeError
from trireme_gateway.hop.oip.ports import Config, IndexEntry, Metadata, Server

UNKNOWN = TriremeError(Code.MODEL_NOT_FOUND, "unknown model")


@dataclass
class Told:
    """Server that says what a test lets it say; an error in the place of an answer is raised."""

    entries: list[IndexEntry] | TriremeError = field(default_factory=list)
    models: dict[str, Metadata] = field(default_factory=dict)
    configured: Config | TriremeError = field(default_factory=lambda: Config('{"name": "m"}', 8))
    unready: set[tuple[str, str]] = field(default_factory=set)
    ready: bool = True
    connected: bool = True
    described: list[tuple[str, str]] = field(default_factory=list)
    looks: int = 0

    async def infer(self, message: bytes, seconds: float, traceparent: str) -> bytes:
        raise AssertionError("a look infers nothing")

    async def server_ready(self) -> bool:
        return self.ready

    async def model_ready(self, name: str, version: str) -> bool:
        return name in self.models and (name, version) not in self.unready

    async def index(self) -> list[IndexEntry]:
        self.looks += 1
        if isinstance(self.entries, TriremeError):
            raise self.entries
        return self.entries

    async def metadata(self, name: str, version: str) -> Metadata:
        self.described.append((name, version))
        if name not in self.models:
            raise UNKNOWN
        return self.models[name]

    async def config(self, name: str, version: str) -> Config:
        if isinstance(self.configured, TriremeError):
            raise self.configured
        return self.configured

    @asynccontextmanager
    async def open(self, address: str) -> AsyncIterator[Server]:
        yield self

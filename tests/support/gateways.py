"""The gateway's application over fake hops, asked in this process."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.support.catalogs import catalog, version
from tests.support.hops import FakeHop, RecordingObserver, answer_by_input, refuse_blank
from trireme_gateway.answer_cache import AnswerCache
from trireme_gateway.app import create_app
from trireme_gateway.cache.cache import ResultCache
from trireme_gateway.cache.events import CacheCounts
from trireme_gateway.cache.memory import MemoryCache
from trireme_gateway.catalog import Catalog
from trireme_gateway.draining import Draining
from trireme_gateway.holding.holding import Holding
from trireme_gateway.middleware import AccessLog
from trireme_gateway.pipeline import Pipeline
from trireme_gateway.repository import Repository
from trireme_gateway.services import Services
from trireme_gateway.settings import GatewaySettings


def standard_catalog() -> Catalog:
    """One model of each kind."""
    return catalog(
        version("sentiment-zh"),
        version("digits", task="image-classification"),
        version("tabular", task="tabular"),
        version("minilm", task="text-embedding"),
        version("bare", task="tensor"),
    )


@dataclass
class Stages:
    """The three hops of a fake platform."""

    preprocess: FakeHop = field(default_factory=lambda: FakeHop(refuse_blank))
    inference: FakeHop = field(default_factory=FakeHop)
    postprocess: FakeHop = field(default_factory=lambda: FakeHop(answer_by_input))

    def pipeline(self, observer: RecordingObserver | None = None) -> Pipeline:
        cache = AnswerCache(ResultCache(MemoryCache(1 << 20), None, CacheCounts()))
        return Pipeline(
            self.preprocess, self.inference, self.postprocess, cache, observer or RecordingObserver()
        )


def services(
    stages: Stages | None = None,
    found: Catalog | None = None,
    draining: Draining | None = None,
    repository: Repository | None = None,
    holding: Holding | None = None,
    **settings: Any,
) -> Services:
    return Services(
        GatewaySettings(**settings),
        found if found is not None else standard_catalog(),
        (stages or Stages()).pipeline(),
        draining or Draining(),
        repository=repository or Repository(),
        holding=holding or Holding(),
    )


@asynccontextmanager
async def client(made: Services | None = None) -> AsyncIterator[httpx.AsyncClient]:
    """Client of an application over `made`."""
    app = create_app(made or services(), AccessLog())
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=True)
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as found:
        yield found

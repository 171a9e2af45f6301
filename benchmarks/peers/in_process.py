"""The gateway's application with nothing behind it but this process.

With `stages`, the three stages run here, behind the same port as the streams: what it lacks of the
platform are the hops alone. With `constant`, the pipeline answers every item with the same answer: what
is left are the route and its duties, which is what a cache hit is measured against.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import cache, partial

import orjson

from benchmarks.peers.stages import InProcessHop, Stage, open_stages
from trireme_common.process import run_service
from trireme_gateway.answer_cache import AnswerCache
from trireme_gateway.answers import Classification
from trireme_gateway.app import create_app
from trireme_gateway.cache.cache import ResultCache
from trireme_gateway.cache.memory import MemoryCache
from trireme_gateway.cache.metrics import PrometheusCacheEvents
from trireme_gateway.catalog import INFERENCE, POSTPROCESS, PREPROCESS, Catalog, Route
from trireme_gateway.context import RequestContext
from trireme_gateway.draining import Draining
from trireme_gateway.http_server import HttpServer
from trireme_gateway.listening import listen
from trireme_gateway.metrics import PrometheusObserver
from trireme_gateway.middleware import AccessLog
from trireme_gateway.pipeline import Outcome, Pipeline
from trireme_gateway.services import Services
from trireme_gateway.settings import GatewaySettings

CONSTANT, STAGES = "constant", "stages"


class ConstantPipeline(Pipeline):
    """Counts, times and labels a request as the pipeline does, and answers without looking at it.

    No key is made, nothing is looked up, decoded or waited for, and so no deadline is kept either.
    """

    async def predict(self, route: Route, items: Sequence[bytes], context: RequestContext) -> list[Outcome]:
        started = self._begin(route, context)
        context.note_cache("hit", missed=False)  # the same header as a hit's
        outcomes: list[Outcome] = [_constant(route.descriptor.labels)] * len(items)
        self._finish(route, outcomes, context, started)
        return outcomes


@cache
def _constant(labels: tuple[str, ...]) -> Classification:
    """Of the label that is first by name, with as many digits as a model's answer has."""
    label = min(labels)
    probabilities = dict.fromkeys(labels, 0.1234567890123456)
    return Classification(0, label, probabilities[label], probabilities)


async def serve(answers: str, settings: GatewaySettings, stop: asyncio.Event) -> None:
    """Serves until `stop` is set, with a line of JSON on standard output when it is ready."""
    draining = Draining()
    async with _open_services(answers, settings, draining) as services:
        app = create_app(services, AccessLog())
        server = HttpServer(app, grace_seconds=settings.grace_seconds)
        listener = listen(settings.host, settings.http_port)
        serving = asyncio.create_task(server.run_on(listener))
        ready = {"ready": services.ready, "http": f"http://127.0.0.1:{listener.getsockname()[1]}"}
        sys.stdout.write(orjson.dumps(ready).decode() + "\n")
        sys.stdout.flush()
        await stop.wait()
        draining.begun = True
        await server.stop(serving)


@asynccontextmanager
async def _open_services(
    answers: str, settings: GatewaySettings, draining: Draining
) -> AsyncIterator[Services]:
    """As the gateway's own bootstrap, but for the hops and Redis."""
    catalog = Catalog()

    def rebuild(stages: Mapping[str, Stage]) -> None:
        catalog.rebuild({name: [stage.store.state] for name, stage in stages.items()})

    memory = MemoryCache(settings.cache_memory_bytes)
    results = AnswerCache(ResultCache(memory, None, PrometheusCacheEvents()))
    async with open_stages(rebuild) as stages:
        hops = [InProcessHop(stages[name].handler) for name in (PREPROCESS, INFERENCE, POSTPROCESS)]
        kind = ConstantPipeline if answers == CONSTANT else Pipeline
        yield Services(
            settings, catalog, kind(hops[0], hops[1], hops[2], results, PrometheusObserver()), draining
        )
    await results.close()


def main() -> int:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--models", required=True, help="the repository")
    parser.add_argument("--answers", choices=(STAGES, CONSTANT), default=STAGES)
    given = parser.parse_args()
    os.environ["TRIREME_MODELS_DIR"] = given.models
    os.environ["TRIREME_GATEWAY_HTTP_PORT"] = "0"
    run: Callable[[GatewaySettings, asyncio.Event], Awaitable[None]] = partial(serve, given.answers)
    return run_service("gateway", GatewaySettings, run)


if __name__ == "__main__":
    sys.exit(main())

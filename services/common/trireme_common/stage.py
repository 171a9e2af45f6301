"""The life of a stage: bind, load, serve, drain, stop, in the order in which nothing is lost."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import structlog

from trireme_common.grpc_server import GrpcServer
from trireme_common.metrics import export_state, serve_metrics
from trireme_common.model_store import ModelStore
from trireme_common.process import settle_heap
from trireme_common.remote.follow import followed
from trireme_common.required_models import parse_models, wait_for_models
from trireme_common.settings import StageSettings
from trireme_common.stage_stream import cancel_and_wait

logger = structlog.get_logger(__name__)


async def serve_stage(
    settings: StageSettings, store: ModelStore[Any], server: GrpcServer, stop: asyncio.Event
) -> None:
    """Serves until `stop` is set.

    Order of the end: NOT_SERVING and a draining state to every gateway, a wait, the server with its
    grace, and only then the models.
    """
    required = parse_models(settings.required_models, f"{settings.model_config['env_prefix']}REQUIRED_MODELS")
    async with AsyncExitStack() as stack:
        stack.push_async_callback(store.close)
        metrics_port = serve_metrics(settings.host, settings.metrics_port)
        store.subscribe(export_state)
        await server.start()
        usable = stack.enter_context(followed(settings))
        watcher = asyncio.create_task(_watch(store, settings.models_poll_seconds, usable))
        stack.push_async_callback(cancel_and_wait, watcher)
        logger.info("listening", host=settings.host, port=server.port, metrics_port=metrics_port)
        ready = asyncio.create_task(_announce_ready(store, server, required))
        await stop.wait()
        ready.cancel()
        store.drain()
        await server.stop(drain_seconds=settings.drain_seconds, grace_seconds=settings.grace_seconds)


async def _watch(store: ModelStore[Any], poll_seconds: float, usable: asyncio.Event) -> None:
    await usable.wait()
    await store.watch(poll_seconds)


async def _announce_ready(store: ModelStore[Any], server: GrpcServer, required: frozenset[str]) -> None:
    """Ready stays ready: a model that fails or is unloaded later must not take a whole pool away."""
    await store.loaded_once.wait()
    await server.set_started()
    await wait_for_models(store, required)
    settle_heap()
    await server.set_ready(True)
    logger.info("ready", models=len(store.state.models))

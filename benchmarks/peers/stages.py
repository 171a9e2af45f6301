"""The three stages inside one process: their own handlers, stores and executors, without gRPC."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass
from typing import Any

from prometheus_client import REGISTRY

from trireme_common.cpus import available_cpus
from trireme_common.errors import Code, TriremeError
from trireme_common.itemwise import ItemwiseHandler
from trireme_common.metrics import export_state
from trireme_common.model_store import ModelStore
from trireme_common.settings import StageSettings, load_settings
from trireme_common.stage_stream import Item, Outcome, StageHandler, cancel_and_wait
from trireme_common.version_policy import every_version
from trireme_gateway.catalog import INFERENCE, POSTPROCESS, PREPROCESS
from trireme_gateway.hop.ports import HopItem, Key, Taker
from trireme_inference.bootstrap import build_isolation, build_store, machine
from trireme_inference.servicer import InferenceHandler
from trireme_inference.settings import InferenceSettings
from trireme_postprocess import bootstrap as postprocess
from trireme_postprocess import postprocessor
from trireme_postprocess.settings import PostprocessSettings
from trireme_preprocess import bootstrap as preprocess
from trireme_preprocess import preprocessor
from trireme_preprocess.settings import PreprocessSettings


class InProcessHop:
    """A gateway's `Hop` that calls the stage's handler as its stream would."""

    def __init__(self, handler: StageHandler) -> None:
        self._handler = handler
        self._tasks: set[asyncio.Task[None]] = set()

    def send(self, key: Key, items: Sequence[HopItem], taker: Taker) -> None:
        """As `Hop.send`."""
        task = asyncio.create_task(_Call(items, taker).run(self._handler, key))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def withdraw(self, items: Sequence[HopItem]) -> None:
        """As `Hop.withdraw`."""
        for item in items:
            if item.call is not None:
                item.call.cancelled = True
                item.call = None


class _Call:
    """Items that were sent together."""

    def __init__(self, items: Sequence[HopItem], taker: Taker) -> None:
        self._sent = items
        self._taker = taker
        self._items: list[Item] = []
        for at, item in enumerate(items):
            request = item.request
            item.call = Item(
                at, item.payload, request.deadline, request.request_id, priority=request.priority
            )
            self._items.append(item.call)

    async def run(self, handler: StageHandler, key: Key) -> None:
        """What fails a message fails each of its items, and what is forgotten is an error, as on a stream."""
        error = TriremeError(Code.INTERNAL, "internal error")
        try:
            await handler.handle(*key, self._items, self._emit)
        except TriremeError as failure:
            error = failure
        finally:
            self._emit([Outcome(item, error=error) for item in self._items])

    def _emit(self, outcomes: Sequence[Outcome]) -> None:
        """The first outcome of every item that was not withdrawn."""
        taken = []
        for outcome in outcomes:
            item = self._sent[outcome.item.id]
            if item.call is outcome.item:
                item.outcome = outcome.payload if outcome.error is None else outcome.error
                item.queue_us, item.compute_us = outcome.queue_us, outcome.compute_us
                item.call = None
                taken.append(item)
        if taken:
            self._taker.took(taken, time.monotonic())


@dataclass(frozen=True)
class Stage:
    """One stage: what answers, and what it has loaded."""

    handler: StageHandler
    store: ModelStore[Any]


@asynccontextmanager
async def open_stages(changed: Callable[[Mapping[str, Stage]], None]) -> AsyncIterator[Mapping[str, Stage]]:
    """The stages with the settings of their services and everything loaded.

    `changed` is called whenever what they have loaded is another.
    """
    async with AsyncExitStack() as stack:
        before, between = load_settings(PreprocessSettings), load_settings(InferenceSettings)
        after = load_settings(PostprocessSettings)
        stages: dict[str, Stage] = {
            PREPROCESS: _preprocess(stack, before),
            INFERENCE: _inference(stack, between),
            POSTPROCESS: _postprocess(stack, after),
        }
        settings: dict[str, StageSettings] = {PREPROCESS: before, INFERENCE: between, POSTPROCESS: after}
        for name, stage in stages.items():
            stack.push_async_callback(stage.store.close)
            stage.store.subscribe(export_state)
            stage.store.subscribe(lambda _: changed(stages))
            watcher = asyncio.create_task(stage.store.watch(settings[name].models_poll_seconds))
            stack.push_async_callback(cancel_and_wait, watcher)
        for stage in stages.values():
            await stage.store.loaded_once.wait()
        changed(stages)
        yield stages


def _preprocess(stack: AsyncExitStack, settings: PreprocessSettings) -> Stage:
    store = ModelStore(settings.models_dir, preprocessor.load, policy=every_version)
    threads = settings.threads or available_cpus()
    executor = stack.enter_context(ThreadPoolExecutor(threads, "before"))
    return Stage(
        ItemwiseHandler(store, preprocess.run, executor, threads, lambda loaded: loaded.heavy), store
    )


def _inference(stack: AsyncExitStack, settings: InferenceSettings) -> Stage:
    isolation = stack.enter_context(closing(build_isolation(settings, REGISTRY)))
    store = build_store(settings, machine(settings), REGISTRY, isolation)
    return Stage(InferenceHandler(store), store)


def _postprocess(stack: AsyncExitStack, settings: PostprocessSettings) -> Stage:
    store = ModelStore(settings.models_dir, postprocessor.load, policy=every_version)
    threads = settings.threads or available_cpus()
    executor = stack.enter_context(ThreadPoolExecutor(threads, "after"))
    return Stage(ItemwiseHandler(store, postprocess.run, executor, threads), store)

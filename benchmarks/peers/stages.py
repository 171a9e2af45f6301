"""The three stages inside one process: their own handlers, stores and executors, without gRPC."""

from __future__ import annotations

import asyncio
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
from trireme_gateway.hop.ports import HopAnswer
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
    """A gateway's `Hop` that calls the stage's handler as its stream would, an item an item."""

    def __init__(self, handler: StageHandler) -> None:
        self._handler = handler

    async def call(
        self,
        model: str,
        version: str,
        payloads: Sequence[bytes],
        deadline: float,
        request_id: str,
        traceparent: str = "",
        priority: int = 0,
    ) -> HopAnswer:
        """As `Hop.call`; what fails a message fails each of its items, as on a stream."""
        items = [Item(at, payload, deadline, request_id) for at, payload in enumerate(payloads)]
        answers = _Answers(len(items))
        try:
            await self._handler.handle(model, version, items, answers.emit)
        except TriremeError as error:
            answers.emit([Outcome(item, error=error) for item in items])
        except asyncio.CancelledError:
            for item in items:
                item.cancelled = True
            raise
        return HopAnswer(answers.outcomes, answers.queue_us, answers.compute_us)


class _Answers:
    """Takes the outcomes of one call."""

    def __init__(self, count: int) -> None:
        # What a handler forgets to answer must not look like an answer.
        self.outcomes: list[bytes | TriremeError] = [TriremeError(Code.INTERNAL, "internal error")] * count
        self.queue_us = 0
        self.compute_us = 0

    def emit(self, outcomes: Sequence[Outcome]) -> None:
        for outcome in outcomes:
            error = outcome.error
            self.outcomes[outcome.item.id] = outcome.payload if error is None else error
            self.queue_us = max(self.queue_us, outcome.queue_us)
            self.compute_us = max(self.compute_us, outcome.compute_us)


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
    executor = stack.enter_context(ThreadPoolExecutor(settings.threads or available_cpus(), "before"))
    return Stage(ItemwiseHandler(store, preprocess.run, executor, lambda loaded: loaded.heavy), store)


def _inference(stack: AsyncExitStack, settings: InferenceSettings) -> Stage:
    isolation = stack.enter_context(closing(build_isolation(settings, REGISTRY)))
    store = build_store(settings, machine(settings), REGISTRY, isolation)
    return Stage(InferenceHandler(store), store)


def _postprocess(stack: AsyncExitStack, settings: PostprocessSettings) -> Stage:
    store = ModelStore(settings.models_dir, postprocessor.load, policy=every_version)
    executor = stack.enter_context(ThreadPoolExecutor(settings.threads or available_cpus(), "after"))
    return Stage(ItemwiseHandler(store, postprocess.run, executor), store)

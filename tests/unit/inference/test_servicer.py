"""Items of messages to answers, on a real scheduler and a real model."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from prometheus_client import CollectorRegistry, generate_latest

from tests.support import onnx_models
from tests.support.onnx_models import write_version
from tests.support.workers import shared_isolation
from trireme_common.errors import Code, TriremeError
from trireme_common.model_store import ModelStore
from trireme_common.stage_stream import Item, Outcome
from trireme_common.tensors import Tensor, decode_tensors, encode_tensors
from trireme_inference.bootstrap import build_store
from trireme_inference.loader import Machine
from trireme_inference.servable import InferenceServable
from trireme_inference.servicer import InferenceHandler
from trireme_inference.settings import InferenceSettings


class Stream:
    """What a gateway's stream received, call by call."""

    def __init__(self) -> None:
        self.calls: list[list[Outcome]] = []

    def emit(self, outcomes: Sequence[Outcome]) -> None:
        self.calls.append(list(outcomes))

    @property
    def outcomes(self) -> dict[int, Outcome]:
        return {outcome.item.id: outcome for call in self.calls for outcome in call}


def item(number: int, payload: bytes, seconds: float = 10.0) -> Item:
    return Item(number, payload, time.monotonic() + seconds)


def ids(*values: int) -> bytes:
    return encode_tensors([Tensor.of("ids", np.array(values))])


def answer(outcome: Outcome) -> list[float]:
    assert outcome.error is None
    (tensor,) = decode_tensors(outcome.payload)
    values: list[float] = tensor.array().tolist()
    return values


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
async def store(tmp_path: Path, registry: CollectorRegistry) -> AsyncIterator[ModelStore[InferenceServable]]:
    write_version(tmp_path, "lookup", 1, onnx_models.lookup(), spec="memory: {lazy: true}\n")
    settings = InferenceSettings.model_validate({"TRIREME_MODELS_DIR": tmp_path})
    store = build_store(settings, Machine(), registry, shared_isolation())
    await store.refresh()
    yield store
    await store.close()


async def test_items_are_answered_in_one_call_and_bad_ones_fail_alone(
    store: ModelStore[InferenceServable],
) -> None:
    stream = Stream()
    items = [
        item(1, ids(1)),
        item(2, b"\xff"),
        item(3, ids(2, 3)),
        item(4, ids(99)),
        item(5, encode_tensors([Tensor.of("ids", np.array([1.0]))])),
        item(6, ids(4), seconds=-1),
        item(7, ids(7)),
    ]
    await InferenceHandler(store).handle("lookup", "1", items, stream.emit)
    outcomes = stream.outcomes
    assert [answer(outcomes[number]) for number in (1, 3, 7)] == [[10.0], [20.0, 30.0], [70.0]]
    errors = {number: outcomes[number].error for number in (2, 4, 5, 6)}
    assert {number: error.code for number, error in errors.items() if error is not None} == {
        2: Code.INVALID_ARGUMENT,
        4: Code.MODEL_FAILED,
        5: Code.INVALID_ARGUMENT,
        6: Code.DEADLINE_EXCEEDED,
    }
    assert sum(map(len, stream.calls)) == len(items)
    assert [outcome.item.id for outcome in stream.calls[-1]] == [1, 3, 4, 7]


async def test_messages_of_one_stream_share_a_batch_and_a_call(store: ModelStore[InferenceServable]) -> None:
    stream, other = Stream(), Stream()
    handler = InferenceHandler(store)
    await asyncio.gather(
        handler.handle("lookup", "1", [item(1, ids(1))], stream.emit),
        handler.handle("lookup", "1", [item(2, ids(2))], stream.emit),
        handler.handle("lookup", "1", [item(3, ids(3))], other.emit),
    )
    assert [[outcome.item.id for outcome in call] for call in stream.calls] == [[1, 2]]
    assert [[outcome.item.id for outcome in call] for call in other.calls] == [[3]]
    assert all(outcome.compute_us >= 0 <= outcome.queue_us for outcome in stream.outcomes.values())


async def test_more_important_items_leave_first(store: ModelStore[InferenceServable], tmp_path: Path) -> None:
    spec = "batching: {max_batch_size: 1, priority_levels: 3}\ninstances: {count: 1, isolation: thread}\n"
    write_version(tmp_path, "ranked", 1, onnx_models.lookup(), spec=spec)
    await store.refresh()
    stream = Stream()
    items = [item(number, ids(number)) for number in range(1, 5)]
    for sent, priority in zip(items, (3, 0, 1, 99), strict=True):
        sent.priority = priority
    await InferenceHandler(store).handle("ranked", "1", items, stream.emit)
    assert [outcome.item.id for call in stream.calls for outcome in call] == [3, 2, 4, 1]


@pytest.mark.parametrize(
    ("model", "version", "code"),
    [("nothing", "1", Code.MODEL_NOT_FOUND), ("lookup", "2", Code.MODEL_NOT_FOUND)],
)
async def test_an_unknown_version_is_refused(
    store: ModelStore[InferenceServable], model: str, version: str, code: Code
) -> None:
    with pytest.raises(TriremeError) as caught:
        await InferenceHandler(store).handle(model, version, [item(1, b"")], Stream().emit)
    assert caught.value.code is code


async def test_metrics_carry_tritons_names(
    store: ModelStore[InferenceServable], registry: CollectorRegistry
) -> None:
    items = [item(1, ids(1, 2)), item(2, ids(3)), item(3, ids(50))]
    await InferenceHandler(store).handle("lookup", "1", items, Stream().emit)
    text = generate_latest(registry).decode()
    lines = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    labels = '{model="lookup",version="1"}'
    assert float(lines[f"nv_inference_request_success{labels}"]) == 2
    reasons = ("REJECTED", "CANCELED", "BACKEND", "OTHER")
    failures = [
        f'nv_inference_request_failure{{model="lookup",reason="{each}",version="1"}}' for each in reasons
    ]
    assert [float(lines[name]) for name in failures] == [0, 0, 1, 0]
    assert float(lines[f"nv_inference_count{labels}"]) == 3
    assert 1 <= float(lines[f"nv_inference_exec_count{labels}"]) <= 2  # the batch was taken apart
    assert float(lines[f"nv_inference_pending_request_count{labels}"]) == 0
    assert (
        float(lines['trireme_inference_failures_total{model="lookup",reason="model_failed",version="1"}'])
        == 1
    )
    assert float(lines['trireme_inference_batches_total{model="lookup",reason="idle",version="1"}']) == 1
    spent = ("queue", "compute_input", "compute_infer", "compute_output")
    parts = [float(lines[f"nv_inference_{name}_duration_us{labels}"]) for name in spent]
    assert all(part > 0 for part in parts)
    assert sum(parts) <= float(lines[f"nv_inference_request_duration_us{labels}"]) + len(parts)


class Sleeper:
    """Has a version that takes a while to be there."""

    def __init__(self, store: ModelStore[InferenceServable]) -> None:
        self._store = store
        self.awake = asyncio.Event()

    def peek(self, name: str, version: str) -> InferenceServable | None:
        return self._store.peek(name, version) if self.awake.is_set() else None

    async def acquire(self, name: str, version: str) -> InferenceServable:
        await self.awake.wait()
        return await self._store.acquire(name, version)


async def test_while_a_version_is_loaded_the_stage_says_that_it_is_at_work(
    store: ModelStore[InferenceServable],
) -> None:
    stream, sleeper = Stream(), Sleeper(store)
    handling = asyncio.create_task(
        InferenceHandler(sleeper).handle("lookup", "1", [item(1, ids(1))], stream.emit)
    )
    async with asyncio.timeout(10):
        while len(stream.calls) < 2:
            await asyncio.sleep(0.01)
    assert stream.calls == [[], []]
    sleeper.awake.set()
    await handling
    assert answer(stream.outcomes[1]) == [10.0]

"""Hops without a network: ports of the pipeline that answer as a test says."""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from trireme_common.errors import Code, TriremeError
from trireme_common.tensors import decode_tensors
from trireme_gateway.hop.ports import Hop, HopItem, HopRequest, Key, Taker, UnansweredError
from trireme_protos.trireme.v1 import postprocess_pb2

Outcome = bytes | TriremeError
Step = Callable[[bytes], Outcome]


@dataclass(frozen=True)
class Call:
    model: str
    version: str
    payloads: list[bytes]
    deadline: float
    request_id: str
    traceparent: str
    priority: int
    shares: list[int]
    """Items of each request among them."""


class HopAnswer(NamedTuple):
    """What `ask` got: an outcome a payload, and the longest that one waited and ran."""

    outcomes: list[Outcome]
    queue_us: int
    compute_us: int


class _Asker:
    """Taker of one call."""

    def __init__(self, items: int) -> None:
        self._missing = items
        self.done = asyncio.Event()

    def took(self, items: Sequence[HopItem], now: float) -> None:
        self._missing -= len(items)
        if not self._missing:
            self.done.set()


async def ask(
    hop: Hop,
    key: Key,
    payloads: Sequence[bytes],
    deadline: float,
    request_id: str = "r",
    traceparent: str = "",
    priority: int = 0,
) -> HopAnswer:
    """One request over one hop, withdrawn at its deadline.

    Raises TriremeError where time is up, and where nothing of it was answered.
    """
    request = HopRequest(request_id, deadline, priority)
    items = [HopItem(request, payload) for payload in payloads]
    for item in items:
        item.traceparent = traceparent
    taker = _Asker(len(items))
    hop.send(key, items, taker)
    try:
        async with asyncio.timeout(deadline - time.monotonic()):
            await taker.done.wait()
    except TimeoutError:
        raise TriremeError(Code.DEADLINE_EXCEEDED, "the time was up") from None
    finally:
        hop.withdraw(items)
    outcomes = [item.outcome for item in items if item.outcome is not None]
    for outcome in outcomes:
        if isinstance(outcome, UnansweredError) and not any(isinstance(other, bytes) for other in outcomes):
            raise outcome.afresh()
    return HopAnswer(outcomes, max(item.queue_us for item in items), max(item.compute_us for item in items))


class TaskHop(ABC):
    """A `Hop` that answers each call in a task of its own, all items together."""

    def __init__(self) -> None:
        self.cancelled = 0
        """Calls of which every item was withdrawn."""
        self._tasks: dict[asyncio.Task[None], int] = {}

    @abstractmethod
    async def answer(self, key: Key, items: Sequence[HopItem]) -> Sequence[Outcome]:
        """An outcome an item."""

    def send(self, key: Key, items: Sequence[HopItem], taker: Taker) -> None:
        task = asyncio.create_task(self._carry(key, items, taker))
        self._tasks[task] = len(items)
        task.add_done_callback(self._tasks.pop)
        for item in items:
            item.call = task

    def withdraw(self, items: Sequence[HopItem]) -> None:
        for item in items:
            task, item.call = item.call, None
            if task is not None:
                self._tasks[task] -= 1
                if not self._tasks[task]:
                    task.cancel()
                    self.cancelled += 1

    async def _carry(self, key: Key, items: Sequence[HopItem], taker: Taker) -> None:
        outcomes = await self.answer(key, items)
        waiting = []
        for item, outcome in zip(items, outcomes, strict=True):
            if item.call is not None:
                item.call, item.outcome = None, outcome
                item.queue_us, item.compute_us = 1000, 2000
                waiting.append(item)
        taker.took(waiting, time.monotonic())


class FakeHop(TaskHop):
    """Answers each payload through `step`; `error` answers none; `gate` holds everything back."""

    def __init__(self, step: Step = lambda payload: payload, *, error: TriremeError | None = None) -> None:
        super().__init__()
        self.step = step
        self.error = error
        self.gate: asyncio.Event | None = None
        self.calls: list[Call] = []

    async def answer(self, key: Key, items: Sequence[HopItem]) -> Sequence[Outcome]:
        first, request = items[0], items[0].request
        self.calls.append(
            Call(
                *key,
                [item.payload for item in items],
                request.deadline,
                request.request_id,
                first.traceparent,
                request.priority,
                list(Counter(item.request for item in items).values()),
            )
        )
        await asyncio.sleep(0)
        if self.gate is not None:
            await self.gate.wait()
        if self.error is not None:
            return [UnansweredError(self.error.code, self.error.detail) for _ in items]
        return [self.step(item.payload) for item in items]


def item_text(payload: bytes) -> str:
    """The text in a payload of preprocess."""
    (tensor,) = decode_tensors(payload)
    found: bytes = tensor.array().ravel()[0]
    return found.decode()


def refuse_blank(payload: bytes) -> Outcome:
    """Preprocess as it treats blank texts."""
    (tensor,) = decode_tensors(payload)
    if tensor.name == "text" and not item_text(payload).strip():
        return TriremeError(Code.BLANK_TEXT, "the text is blank")
    return payload


def classify(payload: bytes) -> Outcome:
    """A serialised Answer: 正面 where the item holds 好, else 负面."""
    (tensor,) = decode_tensors(payload)
    good = "好".encode() in tensor.data
    answer = postprocess_pb2.Answer()
    answer.classification.index = int(good)
    answer.classification.label = ("负面", "正面")[good]
    answer.classification.confidence = 0.75
    answer.classification.labels.extend(("负面", "正面"))
    answer.classification.probabilities.extend((0.25, 0.75) if good else (0.75, 0.25))
    return answer.SerializeToString()


def total(payload: bytes) -> Outcome:
    """A serialised Answer: the sum of the item's numbers."""
    (tensor,) = decode_tensors(payload)
    return vector([float(tensor.array().sum())])


def vector(values: Sequence[float]) -> bytes:
    found: bytes = postprocess_pb2.Answer(vector=postprocess_pb2.Vector(values=values)).SerializeToString()
    return found


def answer_by_input(payload: bytes) -> Outcome:
    """Sums of numbers, classes of everything else."""
    (tensor,) = decode_tensors(payload)
    return total(payload) if tensor.name == "features" else classify(payload)


class RecordingObserver:
    """PipelineObserver that remembers."""

    def __init__(self) -> None:
        self.stages: list[str] = []
        self.models: list[str] = []
        self.confidences: list[float] = []

    def observe_stage(self, stage: str, seconds: float) -> None:
        assert seconds >= 0
        self.stages.append(stage)

    def observe_inference(self, model: str, seconds: float) -> None:
        assert seconds >= 0
        self.models.append(model)

    def observe_confidence(self, model: str, confidence: float) -> None:
        self.confidences.append(confidence)

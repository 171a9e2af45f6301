"""Hops without a network: ports of the pipeline that answer as a test says."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from trireme_common.errors import Code, TriremeError
from trireme_common.tensors import Tensor, decode_tensors
from trireme_gateway.hop.ports import HopAnswer
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
    priority: int = 0


class FakeHop:
    """Answers each payload through `step`; `error` fails the call as a whole; `gate` holds it back."""

    def __init__(self, step: Step = lambda payload: payload, *, error: TriremeError | None = None) -> None:
        self.step = step
        self.error = error
        self.gate: asyncio.Event | None = None
        self.calls: list[Call] = []
        self.cancelled = 0

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
        self.calls.append(Call(model, version, list(payloads), deadline, request_id, traceparent, priority))
        try:
            await asyncio.sleep(0)
            if self.gate is not None:
                async with asyncio.timeout(deadline - time.monotonic()):
                    await self.gate.wait()
        except TimeoutError:
            raise TriremeError(Code.DEADLINE_EXCEEDED, "the request's time was up in the stage") from None
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.error is not None:
            raise self.error
        return HopAnswer([self.step(payload) for payload in payloads], queue_us=1000, compute_us=2000)


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


__all__ = ["FakeHop", "RecordingObserver", "Tensor", "answer_by_input", "classify", "refuse_blank", "vector"]

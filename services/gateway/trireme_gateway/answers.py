"""Answers as the gateway holds them between the last hop and a protocol."""

from __future__ import annotations

from dataclasses import dataclass

from google.protobuf.message import DecodeError

from trireme_common.errors import Code, TriremeError
from trireme_protos.trireme.v1 import postprocess_pb2


@dataclass(slots=True)
class Classification:
    """`confidence` is the probability of `label`; `probabilities` are in the order to be shown."""

    index: int
    label: str
    confidence: float
    probabilities: dict[str, float]


@dataclass(slots=True)
class Vector:
    """Values of a regression, or an embedding."""

    values: list[float]
    tokens: int = 0
    """That the model read for it; 0 where they were not counted."""


Answer = Classification | Vector


def decode_answer(payload: bytes) -> Answer:
    """A serialised `trireme.v1.Answer`. Raises TriremeError(INTERNAL) for anything else."""
    try:
        message = postprocess_pb2.Answer.FromString(payload)
        match message.WhichOneof("kind"):
            case "vector":
                return Vector(list(message.vector.values), message.tokens)
            case "classification":
                return _classification(message.classification)
    except (DecodeError, ValueError) as error:
        raise TriremeError(Code.INTERNAL, "postprocess gave an answer that cannot be read") from error
    raise TriremeError(Code.INTERNAL, "postprocess gave an answer of no known kind")


def _classification(found: postprocess_pb2.Classification) -> Classification:
    probabilities = dict(zip(found.labels, found.probabilities, strict=True))
    return Classification(found.index, found.label, found.confidence, probabilities)

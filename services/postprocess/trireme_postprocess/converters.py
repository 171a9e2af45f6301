"""Answers of the domain to the payload of postprocess.proto."""

from __future__ import annotations

from trireme_common.tensors import Array
from trireme_postprocess.answers import Classification
from trireme_protos.trireme.v1 import postprocess_pb2


def encode_answer(answer: Classification | Array) -> bytes:
    """Serialised `trireme.v1.Answer`."""
    if not isinstance(answer, Classification):
        return postprocess_pb2.Answer(
            vector=postprocess_pb2.Vector(values=answer.tolist())
        ).SerializeToString()
    message = postprocess_pb2.Answer()
    classification = message.classification
    classification.index = answer.index
    classification.label = answer.label
    classification.confidence = answer.confidence
    classification.labels.extend(answer.labels)
    classification.probabilities.extend(answer.probabilities)
    return message.SerializeToString()

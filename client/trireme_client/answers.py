"""Answers of the platform as typed results. Every reader raises the TriremeError that an answer says."""

from __future__ import annotations

import base64
import functools
import json
import struct
from collections.abc import Callable
from typing import Any, TypeVar

from trireme_client import tensors
from trireme_client.errors import BadRequest, RateLimited, Unavailable, UnexpectedAnswer, error_of
from trireme_client.reply import Reply
from trireme_client.results import (
    Classification,
    Embedding,
    Embeddings,
    FailedItem,
    Health,
    Inference,
    ModelHealth,
    ModelInfo,
    Numbers,
    Served,
)

T = TypeVar("T")

_OK = range(200, 300)
_NOT_NOW = (RateLimited, Unavailable)


def _checked(read: Callable[[Reply], T]) -> Callable[[Reply], T]:
    """`read` of answers that succeeded, with what it cannot read as UnexpectedAnswer."""

    @functools.wraps(read)
    def checked(reply: Reply) -> T:
        if reply.status not in _OK:
            raise error_of(reply)
        return _understood(read, reply)

    return checked


def _understood(read: Callable[[Reply], T], reply: Reply) -> T:
    try:
        return read(reply)
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, struct.error) as error:
        raise UnexpectedAnswer(
            "the answer cannot be read: no Trireme gateway, or a version of it that is too far from this one",
            status=reply.status,
            request_id=reply.headers.get("x-request-id", ""),
        ) from error


def read_texts(reply: Reply) -> list[Classification | FailedItem]:
    """Of `/predict` with texts; items that failed are values, also where all of them did."""
    if reply.status not in _OK:
        error = error_of(reply)
        if isinstance(error, _NOT_NOW) or b'"results"' not in reply.content:
            raise error
    return _understood(_texts, reply)


def _texts(reply: Reply) -> list[Classification | FailedItem]:
    body = json.loads(reply.content)
    served = served_of(reply, body)
    return [_classified(item(result, served)) for result in body["results"]]


@_checked
def read_only_text(reply: Reply) -> Classification:
    """Of `/predict` with one text."""
    (only,) = _texts(reply)
    return _succeeded(only)


@_checked
def read_classification(reply: Reply) -> Classification:
    """Of `/predict` with a file."""
    body = json.loads(reply.content)
    return _succeeded(_classified(item(body, served_of(reply, body))))


@_checked
def read_numbers(reply: Reply) -> Numbers | Classification:
    """Of `/predict` with numbers."""
    body = json.loads(reply.content)
    served, result = served_of(reply, body), body["result"]
    if isinstance(result, dict):
        return _succeeded(_classified(item(result, served)))
    return Numbers(values=tuple(result) if isinstance(result, list) else (result,), served=served)


@_checked
def read_embeddings(reply: Reply) -> Embeddings:
    """Of `/v1/embeddings` with base64."""
    body = json.loads(reply.content)
    vectors = [_floats(base64.b64decode(found["embedding"])) for found in body["data"]]
    tokens = int(body["usage"]["prompt_tokens"])
    return Embeddings(vectors=vectors, prompt_tokens=tokens, served=served_of(reply, body))


@_checked
def read_inference(reply: Reply) -> Inference:
    """Of `/v2/models/{m}/infer` with binary tensors."""
    header, outputs = tensors.decode_response(reply.content, int(reply.headers[tensors.HEADER_LENGTH]))
    return Inference(outputs=outputs, served=served_of(reply, {"model": header["model_name"]}))


@_checked
def read_models(reply: Reply) -> list[str]:
    """Of `/v1/models`."""
    return [str(found["id"]) for found in json.loads(reply.content)["data"]]


@_checked
def read_model(reply: Reply) -> ModelInfo:
    """Of `/v1/models/{m}`."""
    body = json.loads(reply.content)
    return ModelInfo(str(body["name"]), bool(body["ready"]), tuple(body["versions"]), str(body["task"]))


@_checked
def read_health(reply: Reply) -> Health:
    """Of `/health`."""
    body = json.loads(reply.content)
    stats = body["stats"]
    return Health(
        status=str(body["status"]),
        model_loaded=bool(body["model_loaded"]),
        models={
            name: ModelHealth(str(found["state"]), str(found["version"]), str(found["reason"]))
            for name, found in body["models"].items()
        },
        device=str(stats["device"]),
        total_requests=int(stats["total_requests"]),
        average_inference_seconds=float(stats["avg_inference_time"]),
    )


def read_ready(reply: Reply) -> bool:
    """Of `/readyz`, whose 503 is an answer and no failure."""
    if reply.status == 503:
        return False
    return _is_ready(reply)


@_checked
def _is_ready(reply: Reply) -> bool:
    return bool(json.loads(reply.content)["ready"])


@_checked
def read_nothing(reply: Reply) -> None:
    """Only whether it succeeded."""


def served_of(reply: Reply, body: dict[str, Any]) -> Served:
    """Who answered: from the headers, and the body where it says."""
    headers = reply.headers
    return Served(
        model=str(body.get("model", "")),
        version=headers.get("x-model-version", ""),
        request_id=headers.get("x-request-id", ""),
        cache=headers.get("x-cache", ""),
        inference_seconds=body.get("inference_time"),
    )


def item(fields: dict[str, Any], served: Served) -> Classification | Embedding | FailedItem:
    """One item's answer, or its error."""
    text = fields.get("text")
    if error := fields.get("error"):
        return FailedItem(code=str(error["code"]), detail=str(error["detail"]), text=text, served=served)
    if "embedding" in fields:
        return Embedding(values=tuple(fields["embedding"]), text=text, served=served)
    return Classification(
        label=fields["label"],
        confidence=fields["confidence"],
        probabilities=fields["probabilities"],
        index=fields.get("predicted_class"),
        text=text,
        served=served,
    )


def _classified(found: Classification | Embedding | FailedItem) -> Classification | FailedItem:
    if isinstance(found, Embedding):
        raise UnexpectedAnswer(
            f"model '{found.served.model}' gives embeddings: embeddings() asks for them",
            status=200,
            request_id=found.served.request_id,
        )
    return found


def _succeeded(found: Classification | FailedItem) -> Classification:
    if isinstance(found, FailedItem):
        raise BadRequest(found.detail, code=found.code, request_id=found.served.request_id)
    return found


def _floats(data: bytes) -> tuple[float, ...]:
    return struct.unpack(f"<{len(data) // 4}f", data)

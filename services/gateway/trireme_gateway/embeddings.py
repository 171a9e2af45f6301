"""Embeddings of texts or token ids: the request as OpenAI's API has it, and the use case behind it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from trireme_common.errors import Code, TriremeError
from trireme_gateway.answers import Vector
from trireme_gateway.catalog import Route
from trireme_gateway.context import RequestContext
from trireme_gateway.errors import ParameterError
from trireme_gateway.items import encode_text, encode_tokens
from trireme_gateway.pipeline import Pipeline
from trireme_gateway.prediction import predict, require_task

MAX_INPUTS = 2048
"""As many as OpenAI takes; a model's `limits.max_items` may be fewer."""

WINDOW_ITEMS = 64
WINDOWS_IN_FLIGHT = 4
"""So that one request of thousands does not fill a model's queue."""

_MEMBERS = ("model", "input", "encoding_format", "dimensions", "user")


@dataclass(frozen=True, slots=True)
class EmbeddingRequest:
    """`items` are payloads of preprocess; `dimensions` None asks for the model's own."""

    model: str
    items: Sequence[bytes]
    base64: bool
    dimensions: int | None


def read_request(body: Any) -> EmbeddingRequest:
    """A parsed body, checked. Raises ParameterError(INVALID_ARGUMENT) naming what is wrong."""
    if not isinstance(body, dict):
        raise TriremeError(Code.INVALID_ARGUMENT, 'the body must be {"model": ..., "input": ...}')
    for name in body:
        if name not in _MEMBERS:
            raise ParameterError(name, f"unknown member '{name}'; known: {', '.join(_MEMBERS)}")
    model, dimensions, form = body.get("model"), body.get("dimensions"), body.get("encoding_format")
    if not isinstance(model, str) or not model:
        raise ParameterError("model", "'model' must name a model")
    if form not in (None, "float", "base64"):
        raise ParameterError("encoding_format", "'encoding_format' must be 'float' or 'base64'")
    if dimensions is not None and (type(dimensions) is not int or dimensions < 1):
        raise ParameterError("dimensions", "'dimensions' must be a positive integer")
    if not isinstance(body.get("user"), str | None):
        raise ParameterError("user", "'user' must be a string")
    return EmbeddingRequest(model, _items(body.get("input")), form == "base64", dimensions)


def _items(given: Any) -> list[bytes]:
    """Payloads of `input`: a text, texts, the token ids of one text, or those of several."""
    if isinstance(given, str):
        return [encode_text(given)]
    if not isinstance(given, list) or not given:
        raise _wrong_input("'input' must be a string, a list of strings, token ids or a list of them")
    if len(given) > MAX_INPUTS and not _are_ids(given):
        raise _wrong_input(f"'input' holds {len(given)} inputs, at most {MAX_INPUTS} are taken")
    if all(isinstance(text, str) for text in given):
        return [encode_text(text) for text in given]
    if _are_ids(given):
        return [_tokens(given)]
    if all(isinstance(ids, list) and ids and _are_ids(ids) for ids in given):
        return [_tokens(ids) for ids in given]
    raise _wrong_input("'input' must hold strings, or integers, or lists of integers that are not empty")


def _are_ids(given: list[Any]) -> bool:
    return all(type(found) is int for found in given)


def _tokens(ids: list[int]) -> bytes:
    try:
        return encode_tokens(ids)
    except TriremeError as error:
        raise ParameterError("input", error.detail) from error


def _wrong_input(detail: str) -> ParameterError:
    return ParameterError("input", detail)


async def embed(
    pipeline: Pipeline, route: Route, request: EmbeddingRequest, context: RequestContext
) -> list[Vector]:
    """The embedding of every item, in their order.

    Raises TriremeError where the model gives none or takes fewer items, ParameterError for
    `dimensions` other than its own and with the error of the first item that failed.
    """
    require_task(route, ("text-embedding",), "texts to embed")
    items, most = request.items, route.descriptor.max_items
    if most and len(items) > most:
        raise _wrong_input(f"'input' holds {len(items)} inputs, model '{route.name}' takes {most} at once")
    if request.dimensions is not None:
        _check_dimensions(route, request.dimensions, route.descriptor.outputs[0].shape[-1])
    if len(items) <= WINDOW_ITEMS:
        vectors = await _window(pipeline, route, items, 0, context)
    else:
        vectors = await _windows(pipeline, route, items, context)
    if request.dimensions is not None:
        _check_dimensions(route, request.dimensions, len(vectors[0].values))
    return vectors


def _check_dimensions(route: Route, wanted: int, own: int) -> None:
    """A part of an embedding is an embedding only where the model was trained for it, which no
    model.yaml says; so only the model's own length is given."""
    if own > 0 and wanted != own:  # -1 is a length that is known only when the model has answered
        raise ParameterError(
            "dimensions", f"model '{route.name}' gives {own} dimensions and cannot give {wanted}"
        )


async def _windows(
    pipeline: Pipeline, route: Route, items: Sequence[bytes], context: RequestContext
) -> list[Vector]:
    gate = asyncio.Semaphore(WINDOWS_IN_FLIGHT)

    async def run(at: int) -> list[Vector]:
        async with gate:
            return await _window(pipeline, route, items[at : at + WINDOW_ITEMS], at, context)

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(run(at)) for at in range(0, len(items), WINDOW_ITEMS)]
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return [vector for task in tasks for vector in task.result()]


async def _window(
    pipeline: Pipeline, route: Route, items: Sequence[bytes], first: int, context: RequestContext
) -> list[Vector]:
    vectors: list[Vector] = []
    for at, outcome in enumerate(await predict(pipeline, route, items, context), start=first):
        if isinstance(outcome, TriremeError):
            raise ParameterError("input", f"input[{at}]: {outcome.detail}", outcome.code)
        if not isinstance(outcome, Vector):
            raise TriremeError(Code.INTERNAL, f"model '{route.name}' gave no embedding")
        vectors.append(outcome)
    return vectors

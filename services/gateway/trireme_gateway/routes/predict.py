"""POST /predict: texts, a file or numbers, answered by the default model of their kind."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from trireme_common.errors import Code, TriremeError
from trireme_gateway.body import header, read_body
from trireme_gateway.catalog import Asleep, Route
from trireme_gateway.context import RequestContext
from trireme_gateway.items import (
    IMAGE_TASKS,
    TABULAR_TASKS,
    TEXT_TASKS,
    encode_image,
    encode_numbers,
    encode_text,
)
from trireme_gateway.json_body import parse_json
from trireme_gateway.prediction import predict, require_task
from trireme_gateway.presenters import item_object, json_response, prediction, status_of
from trireme_gateway.routes.openapi import ITEM_ERRORS, PREDICT
from trireme_gateway.services import ContextDep, Services, ServicesDep
from trireme_gateway.uploads import read_uploads

router = APIRouter(tags=["predict"], responses=ITEM_ERRORS)

MAX_TEXTS = 100


@router.post("/predict", openapi_extra=PREDICT, summary="Predict from texts, a file or numbers")
async def predict_any(
    request: Request,
    services: ServicesDep,
    context: ContextDep,
    model: str | None = None,
    version: str | None = None,
) -> Response:
    """`{"texts": [...]}` (1 to 100), `{"data": [numbers]}`, or multipart `file`. `model` picks
    another than the default of that kind."""
    body = await read_body(request, services.settings.max_body_bytes)
    if header(request, b"content-type").lower().startswith("multipart/form-data"):
        data = await _one_file(request, body)
        try:
            route = image_route(services, model, version)
        except Asleep as asleep:
            route = await services.holding.route(
                asleep, lambda: image_route(services, model, version), context, len(body)
            )
        return await _single(services, route, encode_image(data), context)
    content = parse_json(body)
    match content:
        case {"texts": list(texts), **rest} if not rest:
            return await _texts(services, model, version, texts, context)
        case {"data": list(numbers), **rest} if not rest:
            return await _data(services, model, version, numbers, context)
    raise TriremeError(
        Code.INVALID_ARGUMENT,
        'the body must be {"texts": [...]}, {"data": [numbers]} or a multipart form with a file',
    )


async def _one_file(request: Request, body: bytes) -> bytes:
    uploads = [upload for upload in await read_uploads(request.headers, body) if upload.field == "file"]
    if len(uploads) != 1:
        raise TriremeError(
            Code.INVALID_ARGUMENT, f"one file in the form field 'file' is expected, got {len(uploads)}"
        )
    return uploads[0].data


async def _texts(
    services: Services, model: str | None, version: str | None, texts: list[Any], context: RequestContext
) -> Response:
    if not 1 <= len(texts) <= MAX_TEXTS:
        raise TriremeError(
            Code.INVALID_ARGUMENT,
            f"'texts' takes 1 to {MAX_TEXTS} texts, got {len(texts)}; /predict/batch takes more",
        )
    items = [encode_text(check_text(text)) for text in texts]
    try:
        route = text_route(services, model, version)
    except Asleep as asleep:
        route = await services.holding.route(
            asleep, lambda: text_route(services, model, version), context, sum(map(len, items))
        )
    outcomes = await predict(services.pipeline, route, items, context)
    task = route.descriptor.task
    results = [
        {"text": text, **item_object(task, outcome)} for text, outcome in zip(texts, outcomes, strict=True)
    ]
    return json_response({"results": results, **_trailer(route, context)}, status_of(outcomes))


async def _data(
    services: Services, model: str | None, version: str | None, numbers: list[Any], context: RequestContext
) -> Response:
    item = encode_numbers(check_numbers(numbers))
    try:
        route = _tabular_route(services, model, version)
    except Asleep as asleep:
        route = await services.holding.route(
            asleep, lambda: _tabular_route(services, model, version), context, len(item)
        )
    (outcome,) = await predict(services.pipeline, route, [item], context)
    if isinstance(outcome, TriremeError):
        raise TriremeError(outcome.code, outcome.detail)  # the error itself may be shared with others
    return json_response({"result": prediction(route.descriptor.task, outcome), **_trailer(route, context)})


async def _single(services: Services, route: Route, item: bytes, context: RequestContext) -> Response:
    (outcome,) = await predict(services.pipeline, route, [item], context)
    if isinstance(outcome, TriremeError):
        raise TriremeError(outcome.code, outcome.detail)  # the error itself may be shared with others
    return json_response({**item_object(route.descriptor.task, outcome), **_trailer(route, context)})


def _trailer(route: Route, context: RequestContext) -> dict[str, Any]:
    return {"inference_time": context.inference_seconds, "model": route.name, "version": route.version}


def text_route(services: Services, model: str | None, version: str | None) -> Route:
    """The model for texts: the one named, else the default."""
    return _route(services, model, version, TEXT_TASKS, services.settings.default_text_model, "texts")


def image_route(services: Services, model: str | None, version: str | None) -> Route:
    """The model for a picture: the one named, else the default."""
    return _route(services, model, version, IMAGE_TASKS, services.settings.default_image_model, "a file")


def _tabular_route(services: Services, model: str | None, version: str | None) -> Route:
    return _route(services, model, version, TABULAR_TASKS, services.settings.default_tabular_model, "data")


def _route(
    services: Services,
    model: str | None,
    version: str | None,
    tasks: tuple[str, ...],
    configured: str | None,
    kind: str,
) -> Route:
    if model is None:
        # A default for texts must give labels; an embedding model is asked for by name.
        plain = tuple(task for task in tasks if task != "text-embedding")
        route = services.catalog.default_for(plain, configured, kind)
        if version is not None:
            route = services.catalog.resolve(route.name, version)
    else:
        route = services.catalog.resolve(model, version)
    require_task(route, tasks, kind)
    return route


def check_text(text: Any) -> str:
    """Raises TriremeError(INVALID_ARGUMENT) for anything but a string."""
    if not isinstance(text, str):
        raise TriremeError(Code.INVALID_ARGUMENT, "every text must be a string")
    return text


def check_numbers(numbers: Any) -> list[float]:
    """Raises TriremeError(INVALID_ARGUMENT) for anything but a list of numbers with one at least."""
    if not isinstance(numbers, list) or not numbers or not all(type(n) in (int, float) for n in numbers):
        raise TriremeError(Code.INVALID_ARGUMENT, "a list of numbers is expected")
    try:
        return [float(number) for number in numbers]
    except OverflowError as error:
        raise TriremeError(Code.INVALID_ARGUMENT, "a number is too large for a 64-bit float") from error

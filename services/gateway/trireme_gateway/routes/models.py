"""/v1/models: what is served, `:predict`, and the raw body as the item."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from trireme_common.errors import Code, TriremeError
from trireme_gateway.body import header, read_body
from trireme_gateway.catalog import Asleep, Route
from trireme_gateway.items import (
    IMAGE_TASKS,
    TABULAR_TASKS,
    TEXT_TASKS,
    encode_image,
    encode_numbers,
    encode_text,
)
from trireme_gateway.json_body import parse_json
from trireme_gateway.prediction import predict
from trireme_gateway.presenters import item_object, json_response, prediction, status_of
from trireme_gateway.routes.openapi import INSTANCES, ITEM_ERRORS, RAW_ITEM
from trireme_gateway.routes.predict import check_numbers, check_text
from trireme_gateway.services import ContextDep, ServicesDep
from trireme_gateway.uploads import read_uploads

router = APIRouter(prefix="/v1/models", tags=["models"], responses=ITEM_ERRORS)


@router.get("", summary="Models that can be asked now")
async def list_models(services: ServicesDep) -> Response:
    names = services.catalog.names()
    data = [{"id": name, "object": "model"} for name in names]
    return json_response({"object": "list", "data": data, "models": names})


@router.get("/{model}", summary="One model: ready or not, its versions and task")
async def show_model(model: str, services: ServicesDep) -> Response:
    health = services.catalog.health().get(model)
    if health is None:
        services.catalog.resolve(model)  # raises, with the models there are
    versions = services.catalog.versions(model)
    task = health.task if health else "tensor"
    return json_response({"name": model, "ready": bool(versions), "versions": versions, "task": task})


@router.post("/{model}:predict", openapi_extra=INSTANCES, summary="Predict from a list of instances")
async def predict_instances(
    request: Request, services: ServicesDep, context: ContextDep, model: str, version: str | None = None
) -> Response:
    """Strings for text models, `{"b64": "..."}` for images, lists of numbers for tabular ones."""
    body = await read_body(request, services.settings.max_body_bytes)
    instances = _instances(parse_json(body))
    try:
        route = services.catalog.resolve(model, version)
    except Asleep as asleep:
        route = await services.awake(asleep, model, version, context, len(body))
    items = [_instance(route, instance) for instance in instances]
    outcomes = await predict(services.pipeline, route, items, context)
    task = route.descriptor.task
    return json_response(
        {"predictions": [prediction(task, outcome) for outcome in outcomes]}, status_of(outcomes)
    )


def _instances(content: Any) -> list[Any]:
    match content:
        case {"instances": list(instances)} if instances:
            return instances
    raise TriremeError(Code.INVALID_ARGUMENT, 'the body must be {"instances": [...]} with one at least')


def _instance(route: Route, instance: Any) -> bytes:
    task = "tensor" if route.bare else route.descriptor.task
    if task in TEXT_TASKS:
        return encode_text(check_text(instance))
    if task in TABULAR_TASKS:
        return encode_numbers(check_numbers(instance))
    if task in IMAGE_TASKS:
        return encode_image(_decode_base64(instance))
    raise TriremeError(
        Code.INVALID_ARGUMENT, f"model '{route.name}' takes tensors; ask /v2/models/{route.name}/infer"
    )


def _decode_base64(instance: Any) -> bytes:
    match instance:
        case {"b64": str(text), **rest} if not rest:
            try:
                return base64.b64decode(text, validate=True)
            except (binascii.Error, ValueError) as error:
                raise TriremeError(Code.INVALID_ARGUMENT, "'b64' is not valid base64") from error
    raise TriremeError(Code.INVALID_ARGUMENT, 'an image instance is {"b64": "..."}')


@router.post("/{model}/predict", openapi_extra=RAW_ITEM, summary="Predict from the raw body")
async def predict_raw(
    request: Request, services: ServicesDep, context: ContextDep, model: str, version: str | None = None
) -> Response:
    """The body is the item: a picture, a text, or JSON (a string, or a list of numbers). Several
    files in one multipart body answer `results`, each with its own error where it failed."""
    body = await read_body(request, services.settings.max_body_bytes)
    try:
        route = services.catalog.resolve(model, version)
    except Asleep as asleep:
        route = await services.awake(asleep, model, version, context, len(body))
    given = header(request, b"content-type") or "application/octet-stream"
    media_type = given.split(";")[0].strip().lower()
    several = media_type == "multipart/form-data"
    if several:
        uploads = await read_uploads(request.headers, body)
        if not uploads:
            raise TriremeError(Code.INVALID_ARGUMENT, "the form holds no file")
        items = [_raw_item(route, "application/octet-stream", upload.data) for upload in uploads]
    else:
        items = [_raw_item(route, media_type, body)]
    outcomes = await predict(services.pipeline, route, items, context)
    task = route.descriptor.task
    trailer = {"model": route.name, "version": route.version}
    if several:
        results = [item_object(task, outcome) for outcome in outcomes]
        return json_response({"results": results, **trailer}, status_of(outcomes))
    if isinstance(outcomes[0], TriremeError):
        raise TriremeError(outcomes[0].code, outcomes[0].detail)  # the error itself may be shared
    return json_response({**item_object(task, outcomes[0]), **trailer})


def _raw_item(route: Route, media_type: str, body: bytes) -> bytes:
    """The body as an item of the route's model, by its media type."""
    task = "tensor" if route.bare else route.descriptor.task
    octets = media_type == "application/octet-stream"
    if task in IMAGE_TASKS and (octets or media_type.startswith("image/")):
        return encode_image(body)
    if task in TEXT_TASKS and (octets or media_type == "text/plain"):
        return encode_text(_decode_text(body))
    if task in (*TEXT_TASKS, *TABULAR_TASKS) and media_type == "application/json":
        return _instance(route, parse_json(body))
    takes = _media_types(task)
    raise TriremeError(
        Code.UNSUPPORTED_MEDIA_TYPE,
        f"model '{route.name}' takes {' or '.join(takes)} here, not {media_type[:100]}",
    )


def _media_types(task: str) -> Sequence[str]:
    if task in IMAGE_TASKS:
        return ("image/*", "application/octet-stream")
    if task in TEXT_TASKS:
        return ("text/plain", "application/json (a string)")
    if task in TABULAR_TASKS:
        return ("application/json (a list of numbers)",)
    return ("no raw body: its tensors go to /v2/models/NAME/infer",)


def _decode_text(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise TriremeError(Code.INVALID_ARGUMENT, "the text is not valid UTF-8") from error

"""/v2: the Open Inference Protocol over REST, with Triton's binary tensor data."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from trireme_common import __version__
from trireme_common.errors import Code, TriremeError
from trireme_gateway.body import read_body
from trireme_gateway.catalog import Asleep, Route
from trireme_gateway.context import RequestContext
from trireme_gateway.json_body import parse_json
from trireme_gateway.presenters import json_response
from trireme_gateway.routes import v2_openapi as openapi
from trireme_gateway.services import ContextDep, Services, ServicesDep
from trireme_gateway.v2.compression import choose_coding, compress, decompress
from trireme_gateway.v2.inference import awake, infer, resolve
from trireme_gateway.v2.metadata import model_config, model_metadata, repository_index, server_metadata
from trireme_gateway.v2.offload import THREAD_BYTES, away_from_loop
from trireme_gateway.v2.raw_request import decode_raw, is_raw
from trireme_gateway.v2.request_codec import decode_request
from trireme_gateway.v2.requests import InferRequest
from trireme_gateway.v2.response_codec import Encoded, encode_response
from trireme_gateway.v2.shared_memory import REGION, shared_inputs
from trireme_gateway.v2.signature import signature_of

router = APIRouter(prefix="/v2", tags=["open inference protocol"], responses=openapi.ERRORS)

_HEADER_LENGTH = "inference-header-content-length"


@router.get("/", include_in_schema=False)
@router.get("", summary="Name, version and extensions of the server", responses=openapi.SERVER)
async def show_server() -> Response:
    return json_response(server_metadata(__version__))


@router.get("/health/live", summary="200 while the process runs", responses=openapi.LIVE)
async def live() -> Response:
    return json_response({"live": True})


@router.get("/health/ready", summary="200 when requests can be answered, else 503", responses=openapi.READY)
async def ready(services: ServicesDep) -> Response:
    is_ready = services.ready
    return json_response({"ready": is_ready}, 200 if is_ready else 503)


@router.post(
    "/repository/index",
    summary="Every model of the repository with its state",
    responses=openapi.INDEX,
    openapi_extra=openapi.INDEX_BODY,
)
async def index(request: Request, services: ServicesDep) -> Response:
    """`{"ready": true}` leaves out what cannot be asked now; the body may be empty."""
    body = await read_body(request, services.settings.max_body_bytes)
    content = parse_json(body) if body.strip() else {}
    ready_only = content.get("ready", False) if isinstance(content, dict) else None
    if not isinstance(ready_only, bool):
        raise TriremeError(Code.INVALID_ARGUMENT, "the body must be a JSON object; 'ready' is true or false")
    return json_response(repository_index(services.catalog, ready_only=ready_only))


@router.get("/models/{model}", summary="Inputs, outputs and versions of a model", responses=openapi.MODEL)
@router.get(
    "/models/{model}/versions/{version}", summary="Inputs and outputs of one version", responses=openapi.MODEL
)
async def show_model(model: str, services: ServicesDep, version: str | None = None) -> Response:
    return json_response(model_metadata(services.catalog, model, version))


@router.get(
    "/models/{model}/config", summary="Triton's configuration of a model", responses=openapi.MODEL_CONFIG
)
@router.get(
    "/models/{model}/versions/{version}/config",
    summary="Triton's configuration of one version",
    responses=openapi.MODEL_CONFIG,
)
async def show_config(model: str, services: ServicesDep, version: str | None = None) -> Response:
    return json_response(model_config(services.catalog, model, version))


@router.get("/models/{model}/ready", summary="200 when the model can be asked", responses=openapi.MODEL_READY)
@router.get(
    "/models/{model}/versions/{version}/ready",
    summary="200 when the version can be asked",
    responses=openapi.MODEL_READY,
)
async def model_ready(model: str, services: ServicesDep, version: str | None = None) -> Response:
    try:
        resolve(services.catalog, model, version)
    except TriremeError as error:
        if error.code is not Code.MODEL_NOT_READY:
            raise
        return json_response({"name": model, "ready": False, "error": error.detail}, 503)
    return json_response({"name": model, "ready": True})


@router.post(
    "/models/{model}/infer", summary="Infer", responses=openapi.INFERRED, openapi_extra=openapi.INFER_BODY
)
@router.post(
    "/models/{model}/versions/{version}/infer",
    summary="Infer with one version",
    responses=openapi.INFERRED,
    openapi_extra=openapi.INFER_BODY,
)
async def infer_model(
    request: Request, services: ServicesDep, context: ContextDep, model: str, version: str | None = None
) -> Response:
    """JSON, or JSON with binary tensor data behind it (`Inference-Header-Content-Length`), gzip or
    deflate; with a header length of 0 the body is the data of the model's one input. A model with pre-
    and postprocess takes BYTES or numbers and answers labels and scores; its bare tensor model is
    `<name>.inference`."""
    body = await read_body(request, services.settings.max_body_bytes)
    # An unknown model is said before what is wrong with the body.
    try:
        route = resolve(services.catalog, model, version)
    except Asleep as asleep:
        route = await awake(services, asleep, model, version, context, len(body))
    infer_request = await _decode(body, route, request, services)
    return await _answer(model, version, infer_request, request, services, context)


async def _decode(body: bytes, route: Route, request: Request, services: Services) -> InferRequest:
    limit = services.settings.max_body_bytes
    coding = request.headers.get("content-encoding", "")
    header_length = request.headers.get(_HEADER_LENGTH)
    memory = services.shared_memory

    def decode() -> InferRequest:
        plain = decompress(body, coding, limit)
        if is_raw(header_length):
            _refuse_json(request)
            return decode_raw(plain, signature_of(route))
        return decode_request(plain, header_length, shared_inputs(memory, limit))

    # What lies in shared memory may be larger than the body.
    large = coding or (memory.enabled and REGION.encode() in body)
    return await away_from_loop(decode, THREAD_BYTES if large else len(body))


def _refuse_json(request: Request) -> None:
    """A raw body may hold anything, so one that is said to be JSON was not meant to be raw."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() == "application/json":
        raise TriremeError(
            Code.INVALID_ARGUMENT,
            "the body is said to be application/json, but Inference-Header-Content-Length: 0 says that no "
            "JSON stands in it; a raw body is application/octet-stream",
        )


async def _answer(
    model: str,
    version: str | None,
    infer_request: InferRequest,
    request: Request,
    services: Services,
    context: RequestContext,
) -> Response:
    response = await infer(services, model, version, infer_request, context)
    accepted = request.headers.get("accept-encoding", "")

    def encode() -> Response:
        return _respond(encode_response(infer_request, response), accepted)

    return await away_from_loop(encode, sum(len(tensor.data) for tensor in response.outputs))


def _respond(encoded: Encoded, accepted: str) -> Response:
    headers = {"vary": "accept-encoding"}
    body, media_type = encoded.body, "application/json"
    if encoded.json_length is not None:
        headers[_HEADER_LENGTH] = str(encoded.json_length)
        media_type = "application/octet-stream"
    coding = choose_coding(accepted, len(body))
    if coding is not None:
        headers["content-encoding"] = coding
        body = compress(body, coding)
    return Response(body, headers=headers, media_type=media_type)

"""The use case behind /v2/.../infer and ModelInfer: tensors in, tensors out, pipeline or bare model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from trireme_common.errors import Code, TriremeError
from trireme_common.tensors import Tensor
from trireme_gateway.answers import Answer
from trireme_gateway.catalog import Asleep, Catalog, Route
from trireme_gateway.context import RequestContext
from trireme_gateway.holding.holding import Holding
from trireme_gateway.pipeline import Pipeline
from trireme_gateway.prediction import predict
from trireme_gateway.v2.classification import classify
from trireme_gateway.v2.offload import away_from_loop
from trireme_gateway.v2.pipeline_tensors import decode_items, encode_answers
from trireme_gateway.v2.requests import InferRequest, InferResponse
from trireme_gateway.v2.shared_memory import Place, SharedMemory, write_outputs
from trireme_gateway.v2.signature import Signature, signature_of

_NO_PLACES: dict[str, Place] = {}
_MAX_PRIORITY = 2**32 - 1  # what an item can say; no model has as many levels


class Backends(Protocol):
    """What of the gateway's services the protocol needs."""

    @property
    def catalog(self) -> Catalog: ...

    @property
    def pipeline(self) -> Pipeline: ...

    @property
    def shared_memory(self) -> SharedMemory: ...

    @property
    def holding(self) -> Holding: ...


async def infer(
    services: Backends, name: str, version: str | None, request: InferRequest, context: RequestContext
) -> InferResponse:
    """Answers a request. Raises TriremeError; a failing item fails the whole request."""
    try:
        route = resolve(services.catalog, name, version)
    except Asleep as asleep:
        size = sum(len(tensor.data) for tensor in request.inputs)
        route = await awake(services, asleep, name, version, context, size)
    context.model, context.version = route.model, route.version
    if request.parameters:
        request.check_parameters()
    _shorten(context, request.timeout_microseconds)
    context.priority = min(request.priority, _MAX_PRIORITY)
    signature = signature_of(route)
    signature.check_outputs(request.outputs)
    counts = [output.classification for output in request.outputs]
    places = _places(services, request) if request.outputs else _NO_PLACES
    if route.bare:
        outputs = await services.pipeline.infer(route, signature.in_order(request.inputs), context)
    else:
        items = decode_items(route, signature, request.inputs)
        outputs = encode_answers(
            route, _all_or_error(await predict(services.pipeline, route, items, context))
        )
    selected = tuple(outputs)
    if request.outputs:
        size = sum(len(tensor.data) for tensor in outputs) if any(counts) else 0
        selected = await away_from_loop(lambda: _select(route, signature, request, counts, outputs), size)
    if places:
        await write_outputs(services.shared_memory, places, {tensor.name: tensor for tensor in selected})
    return InferResponse(route.name, route.version, selected, request.id, places)


def _places(services: Backends, request: InferRequest) -> dict[str, Place]:
    """Where outputs are to be put into shared memory, which must be there before anything is computed."""
    places: dict[str, Place] = {}
    for output in request.outputs:
        place = output.place if output.parameters else None
        if place is not None:
            services.shared_memory.check(place)
            places[output.name] = place
    return places


async def awake(
    services: Backends, asleep: Asleep, name: str, version: str | None, context: RequestContext, size: int
) -> Route:
    """`resolve` of a model that is asleep, once it is not; raises as `Holding.route`."""
    return await services.holding.route(
        asleep, lambda: resolve(services.catalog, name, version), context, size
    )


def resolve(catalog: Catalog, name: str, version: str | None) -> Route:
    """As `Catalog.resolve`, with the message that Triton's clients know for an unknown model."""
    try:
        return catalog.resolve(name, version or None)
    except TriremeError as error:
        if error.code is not Code.MODEL_NOT_FOUND:
            raise
        known = catalog.versions(name)
        which = f"'{name}' version {version}" if known else f"'{name}'"
        choices = (
            f"versions: {', '.join(known)}" if known else f"models: {', '.join(catalog.names()) or 'none'}"
        )
        raise TriremeError(
            Code.MODEL_NOT_FOUND, f"Request for unknown model: {which} is not found; {choices}"
        ) from error


def _shorten(context: RequestContext, microseconds: int) -> None:
    if microseconds:
        context.deadline = min(context.deadline, context.started + microseconds / 1e6)


def _all_or_error(outcomes: Sequence[Answer | TriremeError]) -> list[Answer]:
    answers: list[Answer] = []
    for at, outcome in enumerate(outcomes):
        if isinstance(outcome, TriremeError):
            raise TriremeError(outcome.code, f"item {at}: {outcome.detail}")
        answers.append(outcome)
    return answers


def _select(
    route: Route,
    signature: Signature,
    request: InferRequest,
    counts: Sequence[int],
    outputs: Sequence[Tensor],
) -> tuple[Tensor, ...]:
    """The outputs that were asked for, in that order, as classes where that was asked for."""
    by_name = {tensor.name: tensor for tensor in outputs}
    own_labels = {info.name: info.labels for info in signature.outputs}
    selected = []
    for wanted, count in zip(request.outputs, counts, strict=True):
        tensor = by_name.get(wanted.name)
        if tensor is None:
            raise TriremeError(
                Code.INTERNAL, f"model '{route.name}' did not answer its output '{wanted.name}'"
            )
        if count:
            own = own_labels[wanted.name]
            labels = own or route.descriptor.labels
            tensor = classify(tensor, count, labels, batched=signature.batched, own=bool(own))
        selected.append(tensor)
    return tuple(selected)

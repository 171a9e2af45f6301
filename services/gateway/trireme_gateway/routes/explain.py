"""/v1/models/{model}:explain, KServe's explanations: which parts of an item its answer rests on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from trireme_common.errors import Code, TriremeError
from trireme_gateway.answers import Answer
from trireme_gateway.body import read_body
from trireme_gateway.catalog import Asleep, Route
from trireme_gateway.context import RequestContext
from trireme_gateway.explanation import (
    baseline_of,
    parts_of_text,
    rows_without,
    texts_without,
    weights,
)
from trireme_gateway.items import TABULAR_TASKS, encode_numbers, encode_text
from trireme_gateway.json_body import parse_json
from trireme_gateway.prediction import predict, require_task
from trireme_gateway.presenters import Outcome, item_object, json_response, status_of
from trireme_gateway.routes import explain_openapi as openapi
from trireme_gateway.routes.openapi import ITEM_ERRORS
from trireme_gateway.routes.predict import check_numbers, check_text
from trireme_gateway.services import ContextDep, Services, ServicesDep

router = APIRouter(prefix="/v1/models", tags=["models"], responses=ITEM_ERRORS)

MAX_INSTANCES = 16
_TASKS = ("text-classification", *TABULAR_TASKS)


@router.post(
    "/{model}:explain",
    openapi_extra=openapi.EXPLAIN,
    responses=openapi.EXPLAINED,
    summary="Explain the answers to a list of instances",
)
async def explain_instances(
    request: Request, services: ServicesDep, context: ContextDep, model: str, version: str | None = None
) -> Response:
    """Texts of a classifier, or rows of numbers with a `baseline` to compare with. Each part of an instance
    has a weight: by how much the probability of the label, or the value, falls without it."""
    body = await read_body(request, services.settings.max_body_bytes)
    instances, baseline = _read(parse_json(body))
    try:
        route = services.catalog.resolve(model, version)
    except Asleep as asleep:
        route = await services.awake(asleep, model, version, context, len(body))
    require_task(route, _TASKS, "explanations")
    if route.descriptor.task in TABULAR_TASKS:
        rows = [check_numbers(instance) for instance in instances]
        compared = baseline_of(rows, baseline)
        found = [await _explain_row(services, route, row, compared, context) for row in rows]
    else:
        if baseline is not None:
            raise TriremeError(Code.INVALID_ARGUMENT, "a text takes no 'baseline'")
        texts = [check_text(instance) for instance in instances]
        found = [await _explain_text(services, route, text, context) for text in texts]
    explanations = [entry for entry, _ in found]
    return json_response({"explanations": explanations}, status_of([outcome for _, outcome in found]))


def _read(content: Any) -> tuple[list[Any], list[float] | None]:
    match content:
        case {"instances": [_, *_] as instances, **rest} if set(rest) <= {"baseline"}:
            if len(instances) > MAX_INSTANCES:
                raise TriremeError(
                    Code.INVALID_ARGUMENT,
                    f"{len(instances)} instances; {MAX_INSTANCES} are explained at once",
                )
            return instances, check_numbers(rest["baseline"]) if rest else None
    raise TriremeError(
        Code.INVALID_ARGUMENT,
        'the body must be {"instances": [...]} with one at least, and "baseline" beside',
    )


async def _explain_text(
    services: Services, route: Route, text: str, context: RequestContext
) -> tuple[dict[str, Any], Outcome]:
    parts = parts_of_text(text)
    parts = parts if len(parts) > 1 else []  # without its only part there is no text
    items = [encode_text(changed) for changed in (text, *texts_without(text, parts))]
    described = [
        {"text": text[part.start : part.end], "start": part.start, "end": part.end} for part in parts
    ]
    return await _explained(services, route, items, described, context)


async def _explain_row(
    services: Services,
    route: Route,
    row: Sequence[float],
    baseline: Sequence[float],
    context: RequestContext,
) -> tuple[dict[str, Any], Outcome]:
    items = [encode_numbers(changed) for changed in (row, *rows_without(row, baseline))]
    described = [
        {"index": at, "number": number, "baseline": other}
        for at, (number, other) in enumerate(zip(row, baseline, strict=True))
    ]
    return await _explained(services, route, items, described, context)


async def _explained(
    services: Services,
    route: Route,
    items: Sequence[bytes],
    described: Sequence[dict[str, Any]],
    context: RequestContext,
) -> tuple[dict[str, Any], Outcome]:
    """The answer to the first item with the weights of the others, or the first error of any of them."""
    outcomes = await predict(services.pipeline, route, items, context)
    task = route.descriptor.task
    answers: list[Answer] = []
    for outcome in outcomes:
        if isinstance(outcome, TriremeError):
            return item_object(task, outcome), outcome
        answers.append(outcome)
    found = weights(answers[0], answers[1:])
    attributions = [{**about, "weight": weight} for about, weight in zip(described, found, strict=True)]
    return {**item_object(task, answers[0]), "attributions": attributions}, answers[0]

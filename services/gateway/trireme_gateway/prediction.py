"""Items of one request, checked against their model's limits, through the pipeline."""

from __future__ import annotations

from collections.abc import Sequence

from trireme_common.errors import Code, TriremeError
from trireme_gateway.catalog import Route
from trireme_gateway.context import RequestContext
from trireme_gateway.items import item_bytes
from trireme_gateway.pipeline import Outcome, Pipeline


async def predict(
    pipeline: Pipeline, route: Route, items: Sequence[bytes], context: RequestContext
) -> list[Outcome]:
    """As `Pipeline.predict`; an item larger than the model's `max_bytes` fails alone, more than
    `max_items` fail the request (INVALID_ARGUMENT)."""
    limits = route.descriptor
    if limits.max_items and len(items) > limits.max_items:
        raise TriremeError(
            Code.INVALID_ARGUMENT,
            f"{len(items)} items, but model '{route.name}' takes {limits.max_items} at once",
        )
    fits = [_fits(item, limits.max_bytes) for item in items] if limits.max_bytes else ()
    if all(fits):
        return await pipeline.predict(route, items, context)
    fitting = [item for item, fit in zip(items, fits, strict=True) if fit]
    answers = iter(await pipeline.predict(route, fitting, context) if fitting else ())
    refused = TriremeError(
        Code.PAYLOAD_TOO_LARGE, f"the item is larger than the model's {limits.max_bytes} bytes"
    )
    context.items += len(items) - len(fitting)
    context.failed += len(items) - len(fitting)
    return [next(answers) if fit else refused for fit in fits]


def _fits(item: bytes, max_bytes: int) -> bool:
    # A payload is a little larger than the item in it, so only one that is too large is looked into.
    return len(item) <= max_bytes or item_bytes(item) <= max_bytes


def require_task(route: Route, tasks: tuple[str, ...], kind: str) -> None:
    """Raises TriremeError(INVALID_ARGUMENT) where the model does not take that kind of input."""
    if route.bare or route.descriptor.task not in tasks:
        what = "tensors" if route.bare else f"input for {route.descriptor.task}"
        raise TriremeError(
            Code.INVALID_ARGUMENT, f"model '{route.name}' does not take {kind}; it takes {what}"
        )

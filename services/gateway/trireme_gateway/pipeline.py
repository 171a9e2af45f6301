"""The use case of the gateway: items through preprocess, inference and postprocess, each answered."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial

from trireme_common.errors import Code, TriremeError
from trireme_common.tensors import Tensor, decode_tensors, encode_tensors
from trireme_gateway.answer_cache import AnswerCache, Compute, Payloads
from trireme_gateway.answers import Answer, Classification, decode_answer
from trireme_gateway.catalog import INFERENCE, POSTPROCESS, PREPROCESS, Route
from trireme_gateway.context import RequestContext
from trireme_gateway.hop.ports import Hop
from trireme_gateway.observer import PipelineObserver
from trireme_gateway.request_trace import traced_call

Outcome = Answer | TriremeError


class Pipeline:
    """Runs requests over three hops. One bad item never fails its neighbours."""

    def __init__(
        self,
        preprocess: Hop,
        inference: Hop,
        postprocess: Hop,
        cache: AnswerCache,
        observer: PipelineObserver,
    ) -> None:
        self._hops = ((PREPROCESS, preprocess), (INFERENCE, inference), (POSTPROCESS, postprocess))
        self._inference = inference
        self._cache = cache
        self._observer = observer

    async def predict(self, route: Route, items: Sequence[bytes], context: RequestContext) -> list[Outcome]:
        """Answers of `items`, each a payload as preprocess.proto says, in their order.

        Raises TriremeError where the request as a whole cannot be served: no endpoint, no time left.
        """
        started = self._begin(route, context)
        payloads = await self._answer(
            route, items, lambda missing: self._run(route, missing, context), context
        )
        outcomes = [_decode(payload) for payload in payloads]
        self._finish(route, outcomes, context, started)
        return outcomes

    async def infer(
        self, route: Route, tensors: Sequence[Tensor], context: RequestContext
    ) -> tuple[Tensor, ...]:
        """Outputs of a bare tensor model. Raises TriremeError as inference answers it."""
        started = self._begin(route, context)
        (payload,) = await self._answer(
            route,
            [encode_tensors(tensors)],
            lambda missing: self._hop(INFERENCE, self._inference, route, missing, context),
            context,
        )
        context.items += 1
        self._observe(route, context, started)
        if isinstance(payload, TriremeError):
            context.failed += 1
            raise payload.afresh()
        try:
            return decode_tensors(payload)
        except TriremeError as error:  # not the caller's fault, as INVALID_ARGUMENT would say
            raise TriremeError(Code.INTERNAL, "inference gave an answer that cannot be read") from error

    def _begin(self, route: Route, context: RequestContext) -> float:
        context.model, context.version = route.model, route.version
        context.shorten(route.descriptor.timeout_ms)
        now = time.monotonic()
        if now >= context.deadline:
            raise _late(context)
        return now

    async def _answer(
        self, route: Route, items: Sequence[bytes], compute: Compute, context: RequestContext
    ) -> Payloads:
        """From the cache or by `compute`, in the time that the request has: each hop keeps to it by itself,
        and so does the wait for what others compute."""
        try:
            return await self._cache.answer(route, items, compute, context)
        except TimeoutError:
            raise _late(context) from None
        except TriremeError as error:
            if error.code is Code.DEADLINE_EXCEEDED:
                raise _late(context) from None
            raise

    async def _run(
        self, route: Route, items: Sequence[bytes], context: RequestContext
    ) -> list[bytes | TriremeError]:
        """Every item through the hops, those that failed dropping out on the way."""
        outcomes: list[bytes | TriremeError] = list(items)
        for stage, hop in self._hops:
            alive = [(at, outcome) for at, outcome in enumerate(outcomes) if isinstance(outcome, bytes)]
            if not alive:
                break
            answers = await self._hop(stage, hop, route, [payload for _, payload in alive], context)
            for (at, _), answer in zip(alive, answers, strict=True):
                outcomes[at] = answer
        return outcomes

    async def _hop(
        self, stage: str, hop: Hop, route: Route, payloads: Sequence[bytes], context: RequestContext
    ) -> list[bytes | TriremeError]:
        started = time.monotonic()
        try:
            call = hop.call if context.span is None else partial(traced_call, context.span, stage, hop)
            answer = await call(route.model, route.version, payloads, context.deadline, context.request_id)
        finally:
            seconds = time.monotonic() - started
            context.spend(stage, seconds)
            self._observer.observe_stage(stage, seconds)
        if stage == INFERENCE:
            context.spend("queue", answer.queue_us / 1e6)
        return answer.outcomes

    def _observe(self, route: Route, context: RequestContext, started: float) -> None:
        seconds = time.monotonic() - started
        context.inference_seconds += seconds
        self._observer.observe_inference(route.model, seconds)

    def _finish(self, route: Route, outcomes: list[Outcome], context: RequestContext, started: float) -> None:
        context.items += len(outcomes)
        self._observe(route, context, started)
        for outcome in outcomes:
            if isinstance(outcome, TriremeError):
                context.failed += 1
            elif isinstance(outcome, Classification):
                self._observer.observe_confidence(route.model, outcome.confidence)
                if context.confidence is None or outcome.confidence < context.confidence:
                    context.confidence = outcome.confidence


def _decode(payload: bytes | TriremeError) -> Outcome:
    if isinstance(payload, TriremeError):
        return payload
    try:
        return decode_answer(payload)
    except TriremeError as error:
        return error


def _late(context: RequestContext) -> TriremeError:
    spent = ", ".join(f"{stage} {seconds * 1000:.0f} ms" for stage, seconds in context.stage_seconds.items())
    return TriremeError(
        Code.DEADLINE_EXCEEDED, f"the request's time was up ({spent or 'before its first stage'})"
    )

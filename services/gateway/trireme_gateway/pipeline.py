"""The use case of the gateway: items through preprocess, inference and postprocess, each answered."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence

from trireme_common.errors import Code, TriremeError
from trireme_common.tensors import Tensor, decode_tensors, encode_tensors
from trireme_gateway.answer_cache import OFF, AnswerCache, Payloads
from trireme_gateway.answers import Answer, Classification, decode_answer
from trireme_gateway.catalog import INFERENCE, POSTPROCESS, PREPROCESS, Route
from trireme_gateway.context import RequestContext
from trireme_gateway.hop.ports import Hop
from trireme_gateway.observer import PipelineObserver
from trireme_gateway.relay import Relay
from trireme_gateway.token_count import count_tokens, with_tokens

Outcome = Answer | TriremeError
Compute = Callable[[Route, Sequence[bytes], RequestContext], Awaitable[Payloads]]
_EMBEDDING = "text-embedding"


class Pipeline:
    """Runs requests over three hops. One bad item never fails its neighbours."""

    def __init__(
        self,
        preprocess: Hop,
        inference: Hop,
        postprocess: Hop,
        cache: AnswerCache,
        observer: PipelineObserver,
        *,
        coalesce: bool = True,
    ) -> None:
        """`coalesce`: whether requests share anything on their way."""
        hops = ((PREPROCESS, preprocess), (INFERENCE, inference), (POSTPROCESS, postprocess))
        self._relay = Relay(hops, observer.observe_stage, together=coalesce)
        self._cache = cache
        self._observer = observer

    async def predict(self, route: Route, items: Sequence[bytes], context: RequestContext) -> list[Outcome]:
        """Answers of `items`, each a payload as preprocess.proto says, in their order.

        Raises TriremeError where the request as a whole cannot be served: no endpoint, no time left.
        """
        started = self._begin(route, context)
        compute = self._run if route.descriptor.task != _EMBEDDING else self._embed
        try:
            answer = self._answer(compute, route, items, context)
            payloads = answer if isinstance(answer, list) else await answer
        except (TimeoutError, TriremeError) as error:
            raise _explained(error, context) from None
        outcomes = [_decode(payload) for payload in payloads]
        self._finish(route, outcomes, context, started)
        return outcomes

    async def infer(
        self, route: Route, tensors: Sequence[Tensor], context: RequestContext
    ) -> tuple[Tensor, ...]:
        """Outputs of a bare tensor model. Raises TriremeError as inference answers it."""
        started = self._begin(route, context)
        items = [encode_tensors(tensors)]
        try:
            answer = self._answer(self._infer, route, items, context)
            (payload,) = answer if isinstance(answer, list) else await answer
        except (TimeoutError, TriremeError) as error:
            raise _explained(error, context) from None
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

    def _answer(
        self, compute: Compute, route: Route, items: Sequence[bytes], context: RequestContext
    ) -> Payloads | Awaitable[Payloads]:
        """From the cache, at once where memory has all, or by `compute`. Not a coroutine itself: each one
        costs at every hop."""
        if context.cache_control:
            return self._cache.answer_as_told(route, items, compute, context)
        if not self._cache.covers(route):
            context.note_cache(OFF, missed=True)
            return compute(route, items, context)
        keys = self._cache.keys(route, items)
        known = self._cache.remembered(keys, context)
        if known is not None:
            return known
        return self._cache.answer(route, keys, items, compute, context)

    async def _run(self, route: Route, items: Sequence[bytes], context: RequestContext) -> Payloads:
        return await self._relay.run((route.model, route.version), items, context)

    async def _embed(self, route: Route, items: Sequence[bytes], context: RequestContext) -> Payloads:
        """As `_run`; each answer with the number of its tokens, which only preprocess's tensors tell."""
        key = (route.model, route.version)
        prepared = await self._relay.run(key, items, context, last=0)
        good = [tensors for tensors in prepared if isinstance(tensors, bytes)]
        answers = iter(await self._relay.run(key, good, context, first=1) if good else ())
        return [
            _with_tokens(next(answers), tensors) if isinstance(tensors, bytes) else tensors
            for tensors in prepared
        ]

    async def _infer(self, route: Route, items: Sequence[bytes], context: RequestContext) -> Payloads:
        return await self._relay.run((route.model, route.version), items, context, first=1, last=1)

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


def _with_tokens(answer: bytes | TriremeError, prepared: bytes) -> bytes | TriremeError:
    return with_tokens(answer, count_tokens(prepared)) if isinstance(answer, bytes) else answer


def _decode(payload: bytes | TriremeError) -> Outcome:
    if isinstance(payload, TriremeError):
        return payload
    try:
        return decode_answer(payload)
    except TriremeError as error:
        return error


def _explained(error: Exception, context: RequestContext) -> Exception:
    """A time that was up, with where it went; anything else as it is."""
    late = isinstance(error, TimeoutError) or error.code is Code.DEADLINE_EXCEEDED  # type: ignore[attr-defined]
    return _late(context) if late else error


def _late(context: RequestContext) -> TriremeError:
    spent = ", ".join(f"{stage} {seconds * 1000:.0f} ms" for stage, seconds in context.stage_seconds.items())
    return TriremeError(
        Code.DEADLINE_EXCEEDED, f"the request's time was up ({spent or 'before its first stage'})"
    )

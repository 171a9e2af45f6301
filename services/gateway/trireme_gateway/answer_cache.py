"""The result cache as the pipeline uses it: one entry an item, keyed by all that decides its answer."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from trireme_common.errors import Code, TriremeError
from trireme_gateway.cache.cache import CacheResult, Computed, ResultCache, Status
from trireme_gateway.cache.directives import Directives, parse
from trireme_gateway.cache.freshness import Freshness, Terms
from trireme_gateway.cache.key import KeyPrefix
from trireme_gateway.cache_trace import CacheTrace
from trireme_gateway.catalog import Route
from trireme_gateway.context import RequestContext

Payloads = list[bytes | TriremeError]
Compute = Callable[[Route, Sequence[bytes], RequestContext], Awaitable[Payloads]]

ANONYMOUS = "anonymous"
OFF = Status.OFF.value
_HIT = Status.HIT.value
_MOST_KNOWN = 1024
"""Model versions; what is known of them is made again when it is needed."""


@dataclass(frozen=True, slots=True)
class StalePolicy:
    """How long after its time to live an answer is still given out while a new one is computed."""

    seconds: float = 0.0
    by_model: Mapping[str, float] = field(default_factory=dict)
    """Of the models that have a time of their own."""
    longest_seconds: float = 0.0
    """What a request may ask for at most by `max-stale`."""
    refresh_seconds: float = 30.0
    """Time that the computation of a new answer has."""

    def of(self, model: str) -> float:
        return self.by_model.get(model, self.seconds)


class _Known(NamedTuple):
    """What is the same for all requests of a route."""

    route: Route
    prefix: KeyPrefix
    """The key of everything but the item."""
    terms: Terms
    """Of requests that say nothing of the cache."""


class LookUps(Protocol):
    """Listener of what requests looked up."""

    def looked_up(self, model: str, version: str, hits: int, misses: int, seconds: float) -> None:
        """Items of one request; `seconds` are those of the look-up, without the computation of misses."""


class AnswerCache:
    """Looks items up before they are sent to the stages. Routes replaced by a new version or
    another artefact have other digests, so their entries are never found again."""

    def __init__(
        self, results: ResultCache, stale: StalePolicy | None = None, told: LookUps | None = None
    ) -> None:
        self._results = results
        self._told = told
        self._stale = stale or StalePolicy()
        self._trace = CacheTrace()
        self._known: dict[tuple[str, str], _Known] = {}

    def covers(self, route: Route) -> bool:
        """Whether answers of that model are kept."""
        return self._results.enabled and route.descriptor.cache_enabled

    def keys(self, route: Route, items: Sequence[bytes]) -> list[bytes]:
        """The key of each item of a route that is covered."""
        prefix = self._of(route).prefix
        return [prefix.key(item) for item in items]

    def remembered(self, keys: Sequence[bytes], context: RequestContext) -> Payloads | None:
        """Answers where this process has all of them in memory, else None."""
        started = time.monotonic()
        found = self._results.remembered(keys)
        if found is not None:
            context.note_cache(_HIT, missed=False)
            if self._told is not None:
                seconds = time.monotonic() - started
                self._told.looked_up(context.model, context.version, len(keys), 0, seconds)
            if context.span is not None:
                self._trace.remembered(context.span, len(keys))
        return found

    def answer(
        self,
        route: Route,
        keys: Sequence[bytes],
        items: Sequence[bytes],
        compute: Compute,
        context: RequestContext,
    ) -> Awaitable[Payloads]:
        """Answers of `items`, whose keys these are, in their order; `compute` is given those that nobody
        has or is computing, and, in a context of its own, those whose answer was stale.

        Raises what `compute` raises, and TimeoutError where others' work takes longer than the request has.
        """
        terms = self._of(route).terms
        return self._observed(self._look_up(route, keys, items, compute, context, terms), keys, context)

    async def answer_as_told(
        self, route: Route, items: Sequence[bytes], compute: Compute, context: RequestContext
    ) -> Payloads:
        """As `answer`, the way that the request's `cache-control` says it.

        With `only-if-cached`, an item that is not stored has an error of code NOT_CACHED.
        """
        told = parse(context.cache_control)
        if told.no_store or not self.covers(route):
            if told.only_if_cached:
                refused = TriremeError(Code.NOT_CACHED, f"answers of model '{route.name}' are not kept")
                return [refused] * len(items)
            context.note_cache(OFF, missed=True)
            return await compute(route, items, context)
        keys, terms = self.keys(route, items), self._terms(route, told)
        lookup: Awaitable[CacheResult]
        if told.only_if_cached:
            lookup = self._results.look(keys, terms)
        elif told.no_cache:
            lookup = self._results.compute_anew(keys, _at(route, items, compute, context), terms)
        else:
            lookup = self._look_up(route, keys, items, compute, context, terms)
        return await self._observed(lookup, keys, context)

    def _look_up(
        self,
        route: Route,
        keys: Sequence[bytes],
        items: Sequence[bytes],
        compute: Compute,
        context: RequestContext,
        terms: Terms,
    ) -> Awaitable[CacheResult]:
        async def refresh(positions: list[int]) -> list[Computed]:
            # A context of its own: the request is answered by now, and its time may be up.
            later = RequestContext(context.request_id, time.monotonic() + self._stale.refresh_seconds)
            later.shorten(route.descriptor.timeout_ms)
            return await _at(route, items, compute, later)(positions)

        return self._results.get_or_compute(
            keys,
            _at(route, items, compute, context),
            terms,
            wait_seconds=context.deadline - time.monotonic(),
            refresh=refresh if terms.keep_seconds else None,
        )

    async def _observed(
        self, lookup: Awaitable[CacheResult], keys: Sequence[bytes], context: RequestContext
    ) -> Payloads:
        begun = time.monotonic() - context.computed_seconds()
        found = await (lookup if context.span is None else self._trace.observe(context.span, keys, lookup))
        status = found.status
        context.note_cache(status.value, missed=status is Status.MISS or status is Status.OFF)
        if self._told is not None and status is not Status.OFF:
            misses = found.statuses.count(Status.MISS)
            seconds = max(0.0, time.monotonic() - begun - context.computed_seconds())
            self._told.looked_up(context.model, context.version, len(keys) - misses, misses, seconds)
        if found.left is not None:
            context.stale_seconds = max(context.stale_seconds, -found.left)
        return found.outcomes

    def _terms(self, route: Route, told: Directives | None) -> Terms:
        seconds, longest = self._stale.of(route.model), self._stale.longest_seconds
        freshness = Freshness(-seconds) if told is None else told.freshness(seconds, max(seconds, longest))
        return Terms(route.descriptor.cache_ttl_seconds, max(seconds, longest), freshness)

    def _of(self, route: Route) -> _Known:
        """Made once for as long as the route is the same object."""
        at = (route.name, route.version)
        known = self._known.get(at)
        if known is None or known.route is not route:
            shared = route.descriptor.cache_scope == "shared"
            prefix = KeyPrefix(
                tenant=None if shared else ANONYMOUS,
                model=route.name,
                version=route.version,
                digests=route.digests,
            )
            if len(self._known) >= _MOST_KNOWN:  # versions that are gone are never asked for again
                self._known.clear()
            known = self._known[at] = _Known(route, prefix, self._terms(route, None))
        return known

    async def close(self) -> None:
        await self._results.close()


def _at(
    route: Route, items: Sequence[bytes], compute: Compute, context: RequestContext
) -> Callable[[list[int]], Awaitable[list[Computed]]]:
    async def compute_at(positions: list[int]) -> list[Computed]:
        payloads = await compute(route, [items[at] for at in positions], context)
        return [Computed(payload) for payload in payloads]

    return compute_at

"""The result cache as the pipeline uses it: one entry an item, keyed by all that decides its answer."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence

from trireme_common.errors import TriremeError
from trireme_gateway.cache.cache import Computed, ResultCache, Status
from trireme_gateway.cache.key import KeyPrefix
from trireme_gateway.cache_trace import CacheTrace
from trireme_gateway.catalog import Route
from trireme_gateway.context import RequestContext

Payloads = list[bytes | TriremeError]
Compute = Callable[[Sequence[bytes]], Awaitable[Payloads]]

ANONYMOUS = "anonymous"
OFF = Status.OFF.value
_HIT = Status.HIT.value


class AnswerCache:
    """Looks items up before they are sent to the stages. Routes replaced by a new version or
    another artefact have other digests, so their entries are never found again."""

    def __init__(self, results: ResultCache) -> None:
        self._results = results
        self._trace = CacheTrace()
        self._prefixes: dict[tuple[str, str], tuple[Route, KeyPrefix]] = {}

    def covers(self, route: Route) -> bool:
        """Whether answers of that model are kept."""
        return self._results.enabled and route.descriptor.cache_enabled

    def keys(self, route: Route, items: Sequence[bytes]) -> list[bytes]:
        """The key of each item of a route that is covered."""
        prefix = self._prefix(route)
        return [prefix.key(item) for item in items]

    def remembered(self, keys: Sequence[bytes], context: RequestContext) -> Payloads | None:
        """Answers where this process has all of them in memory, else None."""
        found = self._results.remembered(keys)
        if found is not None:
            context.note_cache(_HIT, missed=False)
            if context.span is not None:
                self._trace.remembered(context.span, len(keys))
        return found

    async def answer(
        self,
        route: Route,
        keys: Sequence[bytes],
        items: Sequence[bytes],
        compute: Compute,
        context: RequestContext,
    ) -> Payloads:
        """Answers of `items`, whose keys these are, in their order; `compute` is given those that nobody
        has or is computing.

        Raises what `compute` raises, and TimeoutError where others' work takes longer than the request has.
        """

        async def compute_at(positions: list[int]) -> list[Computed]:
            return [Computed(payload) for payload in await compute([items[at] for at in positions])]

        lookup = self._results.get_or_compute(
            keys,
            compute_at,
            ttl_seconds=route.descriptor.cache_ttl_seconds,
            wait_seconds=context.deadline - time.monotonic(),
        )
        found = await (lookup if context.span is None else self._trace.observe(context.span, keys, lookup))
        context.note_cache(found.status.value, missed=found.status in (Status.MISS, Status.OFF))
        return found.outcomes

    def _prefix(self, route: Route) -> KeyPrefix:
        """The key of everything but the item, made once for as long as the route is the same object."""
        at = (route.name, route.version)
        kept = self._prefixes.get(at)
        if kept is None or kept[0] is not route:
            shared = route.descriptor.cache_scope == "shared"
            prefix = KeyPrefix(
                tenant=None if shared else ANONYMOUS,
                model=route.name,
                version=route.version,
                digests=route.digests,
            )
            kept = self._prefixes[at] = (route, prefix)
        return kept[1]

    async def close(self) -> None:
        await self._results.close()

"""The use case: statistics of models, summed over the inference endpoints, with what the cache counts.

A model answers under its own name as its callers see it: the runs of inference and, before them, the
gateway's cache. Its bare tensor model, `<name>.inference`, is the same runs without the cache; it is not
among all models, or every run would be told twice.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace

import structlog

from trireme_common.errors import Code, TriremeError
from trireme_common.model_spec import INFERENCE_SUFFIX
from trireme_gateway.catalog import Catalog
from trireme_gateway.statistics.model_statistics import CacheCounts, ModelStatistics, summed

logger = structlog.get_logger(__name__)

_MOST_SECONDS = 2.0
_PART_OF_TIME = 0.8

Ask = Callable[[str, str, str, float], Awaitable[Sequence[ModelStatistics]]]
"""Asks the endpoint at an address for a model (empty: all) and version (empty: all), within seconds.
Raises Unanswered."""


class Unanswered(Exception):
    """An endpoint did not tell its statistics; says why."""


async def nobody(address: str, name: str, version: str, seconds: float) -> Sequence[ModelStatistics]:
    """The Ask that nobody answers."""
    raise Unanswered(address)


class Statistics:
    """`addresses`: the inference endpoints that are connected now. `cached`: what the cache counted, by
    model and version."""

    def __init__(
        self,
        catalog: Catalog | None = None,
        addresses: Callable[[], Sequence[str]] = tuple,
        ask: Ask = nobody,
        cached: Callable[[], Mapping[tuple[str, str], CacheCounts]] = dict,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._catalog = catalog or Catalog()
        self._addresses = addresses
        self._ask = ask
        self._cached = cached
        self._clock = clock

    async def of(self, name: str, version: str, deadline: float) -> list[ModelStatistics]:
        """Those of one version, of all versions of a model (`version` empty), or of all models (`name` empty
        too). `deadline`: seconds of the monotonic clock.

        Raises TriremeError: MODEL_NOT_FOUND in Triton's words, or BACKEND_UNAVAILABLE where no endpoint
        answers in time. One that does not is left out of the sum.
        """
        if name:
            self._check(name, version)
        base = name.removesuffix(INFERENCE_SUFFIX)
        found = summed(await self._gathered(base, version, deadline))
        if name and not found:
            raise TriremeError(Code.MODEL_NOT_READY, f"requested model '{name}' is not available")
        if name != base:
            return [replace(one, name=name) for one in found]
        cached = self._cached()
        return [one.with_cache(cached.get((one.name, one.version), CacheCounts())) for one in found]

    def _check(self, name: str, version: str) -> None:
        try:
            self._catalog.resolve(name, version or None)
        except TriremeError as error:
            if error.code is not Code.MODEL_NOT_FOUND:
                raise
            known = self._catalog.versions(name)
            if known:
                told = f"requested model version is not available for model '{name}'"
                told += f"; versions: {', '.join(known)}"
            else:
                told = f"requested model '{name}' is not available"
                told += f"; models: {', '.join(self._catalog.names()) or 'none'}"
            raise TriremeError(Code.MODEL_NOT_FOUND, told) from error

    async def _gathered(self, name: str, version: str, deadline: float) -> list[ModelStatistics]:
        seconds = min(_MOST_SECONDS, _PART_OF_TIME * (deadline - self._clock()))
        if seconds <= 0:
            raise TriremeError(Code.DEADLINE_EXCEEDED, "the request's time was up")
        asked = [self._one(address, name, version, seconds) for address in self._addresses()]
        answers = [answer for answer in await asyncio.gather(*asked) if answer is not None]
        if not answers:
            raise TriremeError(
                Code.BACKEND_UNAVAILABLE, "no inference endpoint tells its statistics now; ask again later"
            )
        return [one for answer in answers for one in answer]

    async def _one(
        self, address: str, name: str, version: str, seconds: float
    ) -> Sequence[ModelStatistics] | None:
        try:
            return await self._ask(address, name, version, seconds)
        except Unanswered as error:
            logger.warning("statistics_left_out", reason=str(error))
            return None

"""Which requests are traced, by what the trace settings say of their model."""

from __future__ import annotations

from collections import Counter
from typing import Protocol

from trireme_gateway.extensions.trace_settings import TraceSettings


class Tickets(Protocol):
    """Counts what all workers of this gateway take together, by name."""

    def take(self, name: str) -> int:
        """One more; returns how many were taken, this one included."""

    def taken(self, name: str) -> int:
        """How many were taken."""


class LocalTickets:
    """Tickets of a gateway that is one process."""

    def __init__(self) -> None:
        self._taken: Counter[str] = Counter()

    def take(self, name: str) -> int:
        self._taken[name] += 1
        return self._taken[name]

    def taken(self, name: str) -> int:
        return self._taken[name]


class Sampler:
    """Decides about requests one by one, in the order in which their models become known.

    A caller that sent a `traceparent` has decided itself, and its requests are not counted. Of the others
    of a model, or of all models that have no settings of their own, every `rate`-th is traced, as Triton
    does it, until `count` were. Each worker counts the requests that come to it.
    """

    def __init__(self, settings: TraceSettings, tickets: Tickets) -> None:
        self._tickets = tickets
        self.apply(settings)

    def apply(self, settings: TraceSettings) -> None:
        """Goes by other settings from now on; counting begins afresh."""
        self._settings = settings
        self._bound = round(settings.ratio * 2**64)
        self._seen: Counter[str] = Counter()
        self._collected: Counter[str] = Counter()

    def wants(self, model: str, trace_id: int, *, asked: bool) -> bool:
        """Whether a request is traced. `model` is empty where it asks none: then it is traced only while
        every request is. `asked`: its caller wants it."""
        plan = self._settings.plan(model)
        if not plan.on or asked:
            return plan.on
        if plan.rate is None:
            wanted = trace_id % 2**64 < self._bound
        elif not model:
            wanted = plan.rate == 1
        else:
            self._seen[plan.scope] += 1
            wanted = plan.rate > 0 and self._seen[plan.scope] % plan.rate == 0
        if wanted and plan.count >= 0:
            return bool(model) and self._tickets.take(plan.ticket) <= plan.count
        return wanted

    def collected(self, model: str) -> bool:
        """Notes that a trace is complete. Returns whether what was collected is to be sent now."""
        plan = self._settings.plan(model)
        if not plan.log_frequency:
            return False
        self._collected[plan.scope] += 1
        return self._collected[plan.scope] % plan.log_frequency == 0

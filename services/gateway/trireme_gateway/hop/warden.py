"""Looks after the endpoints of a stage twenty times a second: silence, failures, weights."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import structlog

from trireme_gateway.hop.endpoint import Endpoint
from trireme_gateway.hop.learning import Learning
from trireme_gateway.hop.outlier import OutlierPolicy, Reason
from trireme_gateway.hop.ports import HopObserver

logger = structlog.get_logger(__name__)

EVERY_SECONDS = 0.05
_LATE_SECONDS = 0.1


class Warden:
    """Ejects endpoints, and says so through `on_ejected`."""

    def __init__(
        self,
        stage: str,
        endpoints: Iterable[Endpoint],
        policy: OutlierPolicy,
        learning: Learning,
        observer: HopObserver,
        on_ejected: Callable[[Endpoint, float], None],
    ) -> None:
        self._stage = stage
        self._endpoints = endpoints
        self._policy = policy
        self._learning = learning
        self._observer = observer
        self._on_ejected = on_ejected
        self._last = 0.0
        self._states: dict[str, int] = {}

    def look(self, now: float) -> None:
        """One round."""
        late = now - self._last > EVERY_SECONDS + _LATE_SECONDS
        self._last = now
        usable = [endpoint for endpoint in self._endpoints if endpoint.usable]
        for endpoint in usable:
            reason = self._fault(endpoint, now, late=late)
            if reason is not None and self._may_eject(endpoint, usable):
                self._eject(endpoint, reason, now)
        self._weigh(usable, now)
        self._report()

    def _fault(self, endpoint: Endpoint, now: float, *, late: bool) -> Reason | None:
        if not endpoint.outlier.trusted:
            return None
        if endpoint.outlier.failing:
            return Reason.FAILURES
        if endpoint.outlier.mute(now):
            return Reason.SILENCE
        silent = endpoint.silent_for(now)
        # A round that is late says that this process was slow: what was said may not be read yet.
        if silent <= self._policy.silence_seconds or late:
            return None
        keys = {leg.key for leg in endpoint.exchange.legs}
        return Reason.SILENCE if silent > self._learning.silence_limit(keys) else None

    def _may_eject(self, endpoint: Endpoint, usable: list[Endpoint]) -> bool:
        out = sum(other.outlier.ejected for other in usable if other is not endpoint)
        return self._policy.may_eject(out, len(usable))

    def _eject(self, endpoint: Endpoint, reason: Reason, now: float) -> None:
        endpoint.outlier.eject(reason, now)
        logger.warning("endpoint_ejected", stage=self._stage, endpoint=endpoint.address, reason=reason.value)
        self._observer.ejected(reason.value)
        self._on_ejected(endpoint, now)

    def _weigh(self, usable: list[Endpoint], now: float) -> None:
        paces = [endpoint.pace.seconds for endpoint in usable]
        best = min((pace for pace in paces if pace is not None), default=0.0)
        for endpoint in usable:
            endpoint.weight = endpoint.pace.weight(best, now)

    def _report(self) -> None:
        states = dict.fromkeys(("usable", "ejected", "draining", "connecting"), 0)
        for endpoint in self._endpoints:
            states[_state(endpoint)] += 1
        if states != self._states:
            self._states = states
            self._observer.endpoints(states)


def _state(endpoint: Endpoint) -> str:
    if endpoint.stream.state is None:
        return "connecting"
    if not endpoint.usable:
        return "draining"
    return "ejected" if endpoint.outlier.ejected else "usable"

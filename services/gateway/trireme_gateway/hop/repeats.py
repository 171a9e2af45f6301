"""Calls that are asked again: hedged, moved away from an endpoint, or failed over."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from trireme_common.errors import Code, TriremeError
from trireme_gateway.hop.budget import RetryBudget
from trireme_gateway.hop.calls import Carrier, HopCall, Leg
from trireme_gateway.hop.endpoint import Endpoint
from trireme_gateway.hop.hedge import HedgeTokens
from trireme_gateway.hop.ports import HopItem, HopObserver, Key, UnansweredError, by_request, requests_of

_MOST_BREAKS = 2  # what was there when two endpoints went away may be why they did

Choose = Callable[[Key, Sequence[Carrier]], Endpoint | None]
"""The endpoint for a call, other than those; None where there is none."""


class StreamBrokenError(UnansweredError):
    """The endpoint went away with the call unanswered, and no other could be asked."""

    def __init__(self, stage: str) -> None:
        super().__init__(Code.BACKEND_UNAVAILABLE, f"the connection to {stage} broke")


class Repeats:
    """Pays for every repeat out of one budget. What was never sent moves for nothing."""

    def __init__(
        self,
        stage: str,
        choose: Choose,
        budget: RetryBudget,
        tokens: HedgeTokens,
        observer: HopObserver,
        watch: Callable[[HopCall, float], None],
    ) -> None:
        """`watch` is told of every call that begins anew."""
        self._stage = stage
        self._watch = watch
        self._choose = choose
        self._budget = budget
        self._tokens = tokens
        self._observer = observer

    def hedge(self, call: HopCall, now: float) -> None:
        """Asks a second endpoint what the first has not answered for long; what still waits there moves."""
        if len(call.legs) != 1:
            return
        (leg,) = call.legs
        other = self._choose(call.key, call.tried)
        if other is None:
            return
        if not leg.sent:
            if other.exchange.outstanding <= _outstanding(leg):
                self._move(leg, other, now)
        elif self._tokens.available and self._budget.take(now):  # one, for the tokens count calls too
            self._tokens.take()
            call.hedge = other.send(call, call.missing(), now)
        else:
            self._observer.hedged("refused")

    def evacuate(self, endpoint: Endpoint, now: float, *, sent_too: bool) -> None:
        """Brings calls to other endpoints. Those that were sent may still be answered here as well."""
        for leg in tuple(endpoint.exchange.legs):
            if not leg.sent:
                other = self._choose(leg.key, leg.call.tried)
                if other is not None:
                    self._move(leg, other, now)
            elif sent_too and len(leg.call.legs) == 1:
                self._again(leg.call, leg.call.missing(), now)

    def fail_over(
        self, legs: Sequence[Leg], now: float, error: TriremeError | None = None, *, give_up: bool = False
    ) -> None:
        """The endpoint of these legs went away, or refused them with `error`: what they left unanswered is
        asked elsewhere. `give_up` asks nobody, because this process is about to end.
        """
        for leg in legs:
            call = leg.call
            if leg in call.legs:
                call.legs.remove(leg)
            call.breaks += leg.sent
            risky = give_up or call.breaks >= _MOST_BREAKS
            # Apart, so that one request that no endpoint survives does not take the others along.
            for part in by_request(call.uncovered()):
                again = call.split(part, now)
                if not risky and self._again(again, part, now, free=not leg.sent):
                    self._watch(again, now)
                else:
                    again.fail(error or StreamBrokenError(self._stage), part, now)

    def _again(self, call: HopCall, items: Sequence[HopItem], now: float, *, free: bool = False) -> bool:
        other = self._choose(call.key, call.tried)
        if other is None or not (free or self._budget.take(now, requests_of(items))):
            return False
        if not free:
            self._observer.retried()
        other.send(call, items, now)
        return True

    def _move(self, leg: Leg, other: Endpoint, now: float) -> None:
        call = leg.call
        leg.carrier.drop(leg, now)
        call.legs.remove(leg)
        call.tried.remove(leg.carrier)  # it was never sent there
        other.send(call, leg.items, now)


def _outstanding(leg: Leg) -> int:
    carrier = leg.carrier
    return carrier.exchange.outstanding if isinstance(carrier, Endpoint) else 0

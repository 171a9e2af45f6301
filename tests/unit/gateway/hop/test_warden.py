"""Rounds of the warden on a clock of the test's own, over endpoints that are never connected to."""

from __future__ import annotations

from collections.abc import Sequence

from tests.support.catalogs import state
from tests.support.stages import METHOD
from tests.unit.gateway.hop.fakes import KEY, Sender, items_of
from trireme_common.errors import TriremeError
from trireme_gateway.hop.calls import Leg
from trireme_gateway.hop.endpoint import Endpoint, least_loaded
from trireme_gateway.hop.learning import Learning
from trireme_gateway.hop.outlier import OutlierPolicy
from trireme_gateway.hop.pending import Pending
from trireme_gateway.hop.ports import NoObserver
from trireme_gateway.hop.stream import EndpointStream, StreamListener, by_stream
from trireme_gateway.hop.warden import EVERY_SECONDS, Warden

POLICY = OutlierPolicy()


class Owner:
    """Owner of endpoints that does nothing."""

    learning = Learning(POLICY)

    def finished(self, legs: Sequence[Leg], now: float) -> None: ...

    def changed(self, endpoint: Endpoint) -> None: ...

    def broke(self, endpoint: Endpoint, legs: list[Leg], error: TriremeError | None) -> None: ...


class Simulation:
    """Endpoints that answer a call every round, but for those in `silent`."""

    def __init__(self, count: int, answer_seconds: float = 0.005) -> None:
        self.now = 1000.0
        self.ejected: list[tuple[str, float]] = []
        self.silent: set[str] = set()
        learning = Learning(POLICY)
        for _ in range(100):
            learning.answered(KEY, answer_seconds)
        self.endpoints = [self._endpoint(f"e{number}") for number in range(count)]
        self.warden = Warden("inference", self.endpoints, POLICY, learning, NoObserver(), self._on_ejected)

    def _endpoint(self, address: str) -> Endpoint:
        def pending() -> Pending:
            return Pending(max_in_flight=1, max_items=8)

        def connect(address: str, listener: StreamListener) -> EndpointStream:
            stream = by_stream("inference", METHOD, pending, NoObserver())(address, listener)
            stream.state = state("echo")
            return stream

        return Endpoint(address, connect, POLICY, Owner())

    def _on_ejected(self, endpoint: Endpoint, now: float) -> None:
        self.ejected.append((endpoint.address, round(now - 1000.0, 2)))

    def send_to_all(self) -> None:
        for endpoint in self.endpoints:
            items = items_of(b"x")
            endpoint.send(Sender().call(items), items, self.now)

    def run(self, seconds: float) -> None:
        end = self.now + seconds
        while self.now < end:
            self.now += EVERY_SECONDS
            for endpoint in self.endpoints:
                if endpoint.address not in self.silent:
                    endpoint.spoke(self.now)
            self.warden.look(self.now)


def test_only_the_silent_one_is_ejected_and_soon() -> None:
    simulation = Simulation(3)
    simulation.send_to_all()
    simulation.run(5)
    assert simulation.ejected == []
    simulation.silent = {"e1"}
    simulation.run(1)
    ((address, when),) = simulation.ejected
    assert address == "e1"
    assert 5.3 <= when <= 5.45


def test_an_idle_endpoint_may_be_silent() -> None:
    simulation = Simulation(2)
    simulation.silent = {"e0", "e1"}
    simulation.run(60)
    assert simulation.ejected == []


def test_a_slow_model_is_given_its_time() -> None:
    simulation = Simulation(2, answer_seconds=1.0)
    simulation.silent = {"e0"}
    simulation.send_to_all()
    simulation.run(2.9)
    assert simulation.ejected == []
    simulation.run(0.3)
    assert [address for address, _ in simulation.ejected] == ["e0"]


def test_where_all_are_silent_some_are_kept() -> None:
    simulation = Simulation(3)
    simulation.silent = {"e0", "e1", "e2"}
    simulation.send_to_all()
    simulation.run(60)
    assert {address for address, _ in simulation.ejected} == {"e0", "e1"}


def test_a_gateway_that_was_stopped_itself_accuses_nobody() -> None:
    simulation = Simulation(2)
    simulation.send_to_all()
    simulation.run(1)
    simulation.now += 10  # the process slept; what the endpoints said is still to be read
    simulation.warden.look(simulation.now)
    assert simulation.ejected == []
    simulation.run(1)
    assert simulation.ejected == []


def test_silence_in_a_probe_ejects_again_and_for_longer() -> None:
    simulation = Simulation(2)
    simulation.silent = {"e0"}
    simulation.send_to_all()
    simulation.run(1)
    suspect = simulation.endpoints[0]
    assert suspect.outlier.ejected
    while not suspect.outlier.wants_probe(simulation.now):
        simulation.run(EVERY_SECONDS)
    suspect.probe(simulation.now)
    simulation.run(0.2)
    assert len(simulation.ejected) == 1
    simulation.run(0.3)
    assert len(simulation.ejected) == 2
    again = simulation.now
    while not suspect.outlier.wants_probe(simulation.now):
        simulation.run(EVERY_SECONDS)
    assert simulation.now - again > 1.3


def give_up(simulation: Simulation, shares: Sequence[int]) -> list[tuple[str, float]]:
    """Who is ejected after requests of so many items each, all in one call to `e0`, left 0.2 s later."""
    asked = simulation.endpoints[0]
    requests = [items_of(*[b"x"] * share) for share in shares]
    items = [item for request in requests for item in request]
    call = Sender().call([*items, *items_of(b"stays")])
    asked.send(call, call.items, simulation.now)
    assert len(list(asked.exchange.messages())) == 1
    simulation.silent = {"e0"}
    simulation.run(0.2)
    for request in requests:
        call.withdraw(request, simulation.now)
    simulation.run(EVERY_SECONDS)
    return simulation.ejected


def test_a_request_given_up_counts_once_however_many_items_it_has() -> None:
    assert give_up(Simulation(2), [7]) == []
    ((address, _),) = give_up(Simulation(2), [1, 1, 1])
    assert address == "e0"


def test_calls_spread_evenly_over_equals_and_avoid_the_slow() -> None:
    simulation = Simulation(3)
    for number, endpoint in enumerate(simulation.endpoints):
        endpoint.pace.answered(0.3 if number == 2 else 0.006, simulation.now)
    unweighed = [least_loaded(simulation.endpoints).address for _ in range(600)]
    assert unweighed.count("e2") > 100  # positive control
    simulation.warden.look(simulation.now)
    chosen = [least_loaded(simulation.endpoints).address for _ in range(600)]
    assert 200 < chosen.count("e0") < 400
    assert chosen.count("e2") == 0
    simulation.now += 40  # nobody asked it, so what is known of it fades
    simulation.warden.look(simulation.now)
    chosen = [least_loaded(simulation.endpoints).address for _ in range(600)]
    assert chosen.count("e2") > 100


def test_the_least_work_decides_first() -> None:
    simulation = Simulation(3)
    simulation.send_to_all()
    free = simulation.endpoints[1]
    free.exchange.clear()
    assert {least_loaded(simulation.endpoints).address for _ in range(50)} == {free.address}

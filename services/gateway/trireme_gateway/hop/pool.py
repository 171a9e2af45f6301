"""The endpoints of a stage: which there are, and which one takes a call."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence

from trireme_common.stage_state import StageState
from trireme_gateway.hop.calls import Carrier
from trireme_gateway.hop.endpoint import Endpoint, least_loaded
from trireme_gateway.hop.ports import HopItem, Key


class EndpointPool:
    """`make` opens the way to an address; `on_turn` is told when an endpoint's address goes or comes back."""

    def __init__(self, make: Callable[[str], Endpoint], on_turn: Callable[[Endpoint], None]) -> None:
        self._make = make
        self._on_turn = on_turn
        self._endpoints: dict[str, Endpoint] = {}
        self._candidates: dict[Key, list[Endpoint]] = {}
        self._ejected: list[Endpoint] = []
        self._closing: set[asyncio.Task[None]] = set()

    def __iter__(self) -> Iterator[Endpoint]:
        return iter(self._endpoints.values())

    def __len__(self) -> int:
        return len(self._endpoints)

    def states(self) -> list[StageState]:
        """What each connected endpoint that is not about to leave says of itself."""
        streams = [endpoint.stream for endpoint in self]
        return [stream.state for stream in streams if stream.state is not None and stream.usable]

    def choose(self, key: Key, tried: Sequence[Carrier]) -> Endpoint | None:
        """The endpoint for a call, other than `tried`: the least loaded of those that are trusted."""
        candidates = [endpoint for endpoint in self._trusted(key) if endpoint not in tried]
        return least_loaded(candidates) if candidates else None

    def sole(self, key: Key) -> bool:
        """Whether there is one endpoint to choose from, and none that might be risked."""
        return len(self._trusted(key)) == 1 and not self._ejected

    def spread(
        self, key: Key, parts: Sequence[Sequence[HopItem]], now: float, share: int = 1
    ) -> list[tuple[Endpoint | None, list[HopItem]]]:
        """Each part goes where it would if they came one after the other, but that parts of fewer than
        `share` items stay together; an endpoint gets its parts in one. One that is ejected and whose time is
        over is risked the first. None: there is no endpoint."""
        candidates = self._trusted(key)
        shares: dict[Endpoint | None, list[HopItem]] = {}
        added: dict[Endpoint, float] = {}
        endpoint = probed = self._probe(key, now)
        room = 0
        for part in parts:
            if endpoint is None and candidates:
                endpoint = least_loaded(candidates, lambda one: one.load + added.get(one, 0.0))
                room = share
            shares.setdefault(endpoint, []).extend(part)
            if endpoint is not None:
                added[endpoint] = added.get(endpoint, 0.0) + len(part) * endpoint.weight
            room -= len(part)
            if room <= 0 or endpoint is probed:
                endpoint = None
        return list(shares.items())

    def _trusted(self, key: Key) -> list[Endpoint]:
        candidates = self._candidates.get(key)
        if candidates is None:
            candidates = self._candidates[key] = self._serving(key)
        return candidates

    def _serving(self, key: Key) -> list[Endpoint]:
        """Where none can be trusted, one that is ejected is better than none, and so is one whose address
        is gone while those that follow it are not connected yet."""
        connected = [endpoint for endpoint in self if endpoint.stream.serves(key)]
        serving = [endpoint for endpoint in connected if not endpoint.leaving]
        trusted = [endpoint for endpoint in serving if not endpoint.outlier.ejected]
        return trusted or serving or connected

    def _probe(self, key: Key, now: float) -> Endpoint | None:
        """An ejected endpoint whose time is over, if there is one; it takes the call as a probe."""
        for endpoint in self._ejected:
            if endpoint.outlier.wants_probe(now) and endpoint.serves(key):
                endpoint.probe(now)
                return endpoint
        return None

    def refresh(self) -> None:
        """An endpoint's state or standing changed."""
        self._candidates.clear()
        self._ejected = [endpoint for endpoint in self if endpoint.outlier.ejected]

    def adopt(self, addresses: set[str]) -> None:
        """Brings the endpoints in step with the stage's addresses.

        One that left gets nothing new but may answer what it has; it is dropped once it is idle and
        another one is connected.
        """
        for address in sorted(addresses - self._endpoints.keys()):
            endpoint = self._endpoints[address] = self._make(address)
            endpoint.start()
        replaced = any(other.usable for address, other in self._endpoints.items() if address in addresses)
        for address, endpoint in tuple(self._endpoints.items()):
            leaves = address not in addresses
            if leaves != endpoint.leaving:
                endpoint.leaving = leaves
                self.refresh()
                self._on_turn(endpoint)
            if leaves and not endpoint.exchange.outstanding and (replaced or not endpoint.stream.usable):
                del self._endpoints[address]
                self._close(endpoint)
                self.refresh()

    def _close(self, endpoint: Endpoint) -> None:
        task = asyncio.create_task(endpoint.close())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def close(self) -> None:
        await asyncio.gather(*(endpoint.close() for endpoint in self), *self._closing)
        self._endpoints.clear()
        self.refresh()

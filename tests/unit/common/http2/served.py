"""A stream of ours to a server by h2, which does what a test says."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import h2.events
import h2.settings

from tests.support.http2_peers import ANSWER, H2Peer, Owner, listening, opened
from tests.support.stages import until
from trireme_common.http2.client import ClientStream
from trireme_common.http2.keepalive import Patience

React = Callable[[H2Peer, h2.events.Event], None]
WINDOW = h2.settings.SettingCodes.INITIAL_WINDOW_SIZE
OK_TRAILERS = (("grpc-status", "0"),)


def opened_by(event: h2.events.Event) -> bool:
    return isinstance(event, h2.events.RequestReceived)


@asynccontextmanager
async def with_h2(
    react: React,
    values: dict[int, int] | None = None,
    patience: Patience | None = None,
    gives_back: bool = True,
) -> AsyncIterator[tuple[ClientStream, Owner, H2Peer]]:
    """A stream of ours to a server by h2 that reacts to events."""
    peers: list[H2Peer] = []

    def make() -> H2Peer:
        peers.append(H2Peer(client=False, settings=values, react=react, gives_back=gives_back))
        return peers[-1]

    owner = Owner()
    kind = {} if patience is None else {"patience": patience}
    async with listening(make) as address, opened(address, owner, **kind) as stream:
        await until(lambda: bool(peers) and (peers[0].saw(h2.events.RequestReceived) or bool(owner.ends)))
        yield stream, owner, peers[0]


def answer(peer: H2Peer, event: h2.events.Event) -> None:
    if opened_by(event):
        peer.h2.send_headers(1, ANSWER)

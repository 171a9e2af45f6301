"""Stores of two workers in one process, that share a directory."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from trireme_common.errors import TriremeError
from trireme_gateway.extensions.log_settings import LogSettings
from trireme_gateway.extensions.peers import Peers
from trireme_gateway.extensions.state import ExtensionState
from trireme_gateway.extensions.store import StateStore


def quieter(state: ExtensionState) -> ExtensionState:
    return replace(state, log=replace(state.log, verbose_level=state.log.verbose_level + 1))


async def test_listeners_are_told_now_and_after_every_change() -> None:
    store = StateStore(ExtensionState(LogSettings(verbose_level=5)))
    told: list[int] = []
    store.listen(lambda state: told.append(state.log.verbose_level))
    assert (await store.change(quieter)).revision == 1
    await store.change(quieter)
    assert told == [5, 6, 7]


async def test_a_change_that_is_refused_changes_nothing() -> None:
    store = StateStore()
    with pytest.raises(TriremeError):
        await store.change(lambda state: replace(state, log=state.log.changed({"log_info": 1})))
    assert store.state == ExtensionState()
    assert (await store.change(quieter)).revision == 1


@asynccontextmanager
async def opened(*stores: StateStore) -> AsyncIterator[None]:
    async with AsyncExitStack() as stack:
        for store in stores:
            store.open()
            stack.callback(store.close)
        yield


async def test_a_lone_worker_of_several_waits_for_nobody(tmp_path: Path) -> None:
    store = StateStore(directory=tmp_path)
    async with opened(store):
        await store.change(quieter)
    fresh = StateStore(directory=tmp_path)
    async with opened(fresh):
        assert fresh.state == store.state
        assert fresh.state.log.verbose_level == 1


@asynccontextmanager
async def peer(directory: Path, name: str, on_ring: Callable[[], None]) -> AsyncIterator[Peers]:
    made = Peers(directory, on_ring, name)
    made.open()
    try:
        yield made
    finally:
        made.close()


async def test_a_ring_has_been_heard_by_all_when_it_returns(tmp_path: Path) -> None:
    heard: list[str] = []
    async with AsyncExitStack() as stack:
        peers = [
            await stack.enter_async_context(peer(tmp_path, name, lambda name=name: heard.append(name)))  # type: ignore[misc]
            for name in "abc"
        ]
        await peers[0].ring(10)
        assert sorted(heard) == ["b", "c"]
        await asyncio.gather(peers[1].ring(10), peers[2].ring(10))
        assert sorted(heard) == ["a", "a", "b", "b", "c", "c"]
    assert not list(tmp_path.iterdir())


async def test_workers_that_died_are_forgotten_and_silent_ones_are_not_waited_for_long(
    tmp_path: Path,
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as dead:
        dead.bind(str(tmp_path / "dead.bell"))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as silent:
        silent.bind(str(tmp_path / "silent.bell"))
        async with peer(tmp_path, "a", lambda: None) as made:
            async with asyncio.timeout(10):
                await made.ring(0.05)
        assert silent.recv(64) == b"ring a.bell"
    assert [path.name for path in tmp_path.iterdir()] == ["silent.bell"]


async def test_two_workers_agree(tmp_path: Path) -> None:
    one, two = StateStore(directory=tmp_path, name="one"), StateStore(directory=tmp_path, name="two")
    told: list[int] = []
    async with opened(one, two):
        two.listen(lambda state: told.append(state.log.verbose_level))
        await one.change(quieter)
        assert told == [0, 1]
        await asyncio.gather(*(store.change(quieter) for store in (one, two) * 4))
        assert one.state == two.state
        assert one.state.log.verbose_level == 9
        assert one.tickets.take("t") + two.tickets.take("t") == 3

"""Parts of an answer leave together, in order, and never after the connection is gone."""

from __future__ import annotations

import asyncio

from trireme_gateway.corked import CorkedTransport


class Wire(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []
        self.closed = False

    def write(self, data: bytes) -> None:  # type: ignore[override]
        assert not self.closed
        self.writes.append(data)

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed


async def test_one_turn_of_the_loop_is_one_write() -> None:
    wire = Wire()
    corked = CorkedTransport(wire, asyncio.get_running_loop())
    corked.write(b"head ")
    corked.write(b"body")
    assert wire.writes == []
    await asyncio.sleep(0)
    assert wire.writes == [b"head body"]
    corked.write(b"next")
    await asyncio.sleep(0)
    assert wire.writes == [b"head body", b"next"]


async def test_a_large_part_does_not_wait() -> None:
    wire = Wire()
    corked = CorkedTransport(wire, asyncio.get_running_loop())
    corked.write(b"head")
    corked.write(b"x" * 70_000)
    assert wire.writes == [b"head" + b"x" * 70_000]
    await asyncio.sleep(0)
    assert len(wire.writes) == 1


async def test_closing_sends_what_is_held_first() -> None:
    wire = Wire()
    corked = CorkedTransport(wire, asyncio.get_running_loop())
    corked.write(b"last words")
    corked.close()
    assert (wire.writes, wire.closed) == ([b"last words"], True)


async def test_nothing_is_written_to_a_connection_that_is_gone() -> None:
    wire = Wire()
    corked = CorkedTransport(wire, asyncio.get_running_loop())
    corked.write(b"too late")
    wire.close()
    await asyncio.sleep(0)
    assert wire.writes == []
    assert corked.is_closing()

"""The bound on what one stream holds."""

from __future__ import annotations

import asyncio

from trireme_gateway.grpc_front.room import Room


async def begin(room: Room, size: int) -> list[asyncio.Task[None]]:
    """The entry, begun; it is done where there was room at once."""
    entry = asyncio.create_task(room.enter(size))
    for _ in range(3):
        await asyncio.sleep(0)
    return [entry]


async def test_a_room_holds_so_many_requests_and_so_many_bytes() -> None:
    room = Room(2, 100)
    await room.enter(10)
    await room.enter(10)
    (third,) = await begin(room, 10)
    assert not third.done()
    room.leave(10)
    await third
    room.leave(10)
    (large,) = await begin(room, 91)
    assert not large.done()
    room.resize(10, 9)
    await large


async def test_a_request_alone_may_be_of_any_size() -> None:
    room = Room(2, 100)
    await room.enter(1000)
    (second,) = await begin(room, 1)
    assert not second.done()
    room.leave(1000)
    await second

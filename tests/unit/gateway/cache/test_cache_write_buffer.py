from __future__ import annotations

from trireme_gateway.cache.ports import StoreEntry
from trireme_gateway.cache.redis_client import RedisLimits
from trireme_gateway.cache.write_buffer import WriteBuffer


def entry(number: int, size: int = 10) -> StoreEntry:
    return StoreEntry(b"%d" % number, bytes(size), 60)


def test_entries_stay_readable_until_they_are_written() -> None:
    buffer = WriteBuffer(RedisLimits(max_writes=2))
    for number in range(3):
        assert buffer.add(entry(number))
    assert list(buffer.take()) == [b"0", b"1"]
    assert [buffer.get(b"%d" % number) for number in range(3)] == [bytes(10)] * 3
    buffer.written()
    assert [buffer.get(b"%d" % number) for number in range(3)] == [None, None, bytes(10)]
    assert list(buffer.take()) == [b"2"]


def test_it_is_bounded_by_entries_and_by_bytes_and_room_comes_back() -> None:
    buffer = WriteBuffer(RedisLimits(max_buffered=2, max_buffered_bytes=25, max_value_bytes=20))
    assert not buffer.add(entry(9, 21))
    assert buffer.add(entry(0, 20))
    assert not buffer.add(entry(1, 6))
    assert buffer.add(entry(1, 5))
    assert not buffer.add(entry(2, 0))
    buffer.take()
    buffer.written()
    assert buffer.add(entry(2, 20))


def test_a_pipeline_is_bounded_by_bytes_but_takes_one_large_value() -> None:
    buffer = WriteBuffer(RedisLimits(max_write_bytes=25))
    for number, size in enumerate((30, 10, 10, 10)):
        buffer.add(entry(number, size))
    taken = []
    while batch := buffer.take():
        taken.append(list(batch))
        buffer.written()
    assert taken == [[b"0"], [b"1", b"2"], [b"3"]]


def test_clearing_tells_how_many_were_waiting() -> None:
    buffer = WriteBuffer(RedisLimits(max_writes=1))
    for number in range(3):
        buffer.add(entry(number))
    buffer.take()
    assert buffer.clear() == 2
    assert buffer.get(b"0") is None
    assert not buffer.take()

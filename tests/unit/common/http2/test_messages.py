from __future__ import annotations

import tracemalloc
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.http2_peers import framed
from trireme_common.http2.messages import (
    RESOURCE_EXHAUSTED,
    UNIMPLEMENTED,
    BadMessageError,
    MessageReader,
    prefix,
)

SIZES = st.sampled_from([0, 1, 5, 1023, 1024, 1025, 5000])


def read(data: bytes, edges: list[int], largest: int = 10_000) -> list[bytes]:
    taken: list[bytes] = []
    reader = MessageReader(taken.append, largest)
    cuts = [0, *sorted(edge % (len(data) + 1) for edge in edges), len(data)]
    for start, end in pairwise(cuts):
        reader.feed(memoryview(data)[start:end])
    return taken


@settings(deadline=None, max_examples=60)
@given(st.lists(SIZES, max_size=5), st.lists(st.integers(0, 2**16), max_size=30))
def test_the_same_messages_come_out_whatever_way_the_bytes_are_cut(sizes: list[int], cuts: list[int]) -> None:
    messages = [bytes([number]) * size for number, size in enumerate(sizes)]
    taken = read(b"".join(map(framed, messages)), cuts)
    assert taken == messages
    assert all(type(message) is bytes for message in taken)


def test_single_bytes_are_enough() -> None:
    messages = [b"", b"abc", bytes(range(256)) * 6, b""]
    data = b"".join(map(framed, messages))
    assert read(data, list(range(len(data)))) == messages


def test_what_is_taken_does_not_change_with_the_buffer_it_came_in() -> None:
    taken: list[bytes] = []
    buffer = bytearray(framed(b"abc") + prefix(2000) + b"x" * 1999)
    reader = MessageReader(taken.append, 3000)
    reader.feed(memoryview(buffer))
    buffer[5:8] = b"???"
    reader.feed(memoryview(b"y"))
    assert taken == [b"abc", b"x" * 1999 + b"y"]


@pytest.mark.parametrize("cut", [1, 4, 5])
def test_a_message_too_large_is_refused_by_its_prefix(cut: int) -> None:
    start = prefix(101)
    reader = MessageReader(lambda message: None, 100)
    with pytest.raises(BadMessageError) as caught:  # noqa: PT012  # either feed may be the one that has it all
        reader.feed(memoryview(start[:cut]))
        reader.feed(memoryview(start[cut:]))
    assert caught.value.status == RESOURCE_EXHAUSTED
    assert "101" in caught.value.detail
    assert read(framed(bytes(100)), [], largest=100) == [bytes(100)]


@pytest.mark.parametrize("flag", [1, 2, 255])
def test_compressed_messages_are_refused(flag: int) -> None:
    with pytest.raises(BadMessageError) as caught:
        read(bytes([flag]) + framed(b"abc")[1:], [])
    assert caught.value.status == UNIMPLEMENTED


def test_it_tells_where_a_message_may_end() -> None:
    reader = MessageReader(lambda message: None, 100)
    states = [reader.between_messages]
    for byte in framed(b"ab"):
        reader.feed(memoryview(bytes([byte])))
        states.append(reader.between_messages)
    assert states == [True, *[False] * 6, True]


def test_a_message_in_single_bytes_takes_no_more_memory_than_its_size_says() -> None:
    size = 20_000
    reader = MessageReader(lambda message: None, size)
    reader.feed(memoryview(prefix(size)))
    tracemalloc.start()
    try:
        for _ in range(size - 1):
            reader.feed(memoryview(b"x"))
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 2 * size

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from trireme_common.payloads import in_messages

MIB = 1024 * 1024


@dataclass
class Part:
    payload: bytes


@given(st.lists(st.integers(0, 2 * MIB), max_size=20), st.integers(1, 8))
def test_every_part_travels_once_and_no_message_is_larger_than_it_must_be(
    sizes: list[int], most: int
) -> None:
    parts = [Part(bytes(size)) for size in sizes]
    found = list(in_messages(parts, most))
    assert [part for message in found for part in message] == parts
    for message in found:
        assert 0 < len(message) <= most
        assert len(message) == 1 or sum(len(part.payload) for part in message) <= MIB


def test_small_parts_share_a_message() -> None:
    parts = [Part(bytes(1000)) for _ in range(500)]
    assert list(in_messages(parts)) == [parts]

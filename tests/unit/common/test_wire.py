"""What is written by hand reads as protobuf wrote it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from trireme_common.wire import length_delimited, with_payload
from trireme_protos.trireme.v1 import envelope_pb2

ITEMS = envelope_pb2.Envelope.DESCRIPTOR.fields_by_name["items"].number
PAYLOAD = envelope_pb2.Item.DESCRIPTOR.fields_by_name["payload"].number


@given(st.binary(max_size=70_000))
def test_a_field_with_a_length(data: bytes) -> None:
    written = length_delimited(PAYLOAD, len(data)) + data
    assert envelope_pb2.Item.FromString(written) == envelope_pb2.Item(payload=data)


@given(st.lists(st.tuples(st.integers(1, 2**64 - 1), st.binary(max_size=300)), max_size=5))
def test_entries_with_payloads_stand_behind_those_of_protobuf(items: list[tuple[int, bytes]]) -> None:
    expected = envelope_pb2.Envelope(model="m", version="1")
    expected.items.add(id=7, payload=b"small")
    pieces = [expected.SerializeToString()]
    for number, payload in items:
        entry = envelope_pb2.Item(id=number, request_id="r")
        pieces += with_payload(ITEMS, entry, PAYLOAD, payload)
        expected.items.add(id=number, request_id="r", payload=payload)
    assert envelope_pb2.Envelope.FromString(b"".join(pieces)) == expected


def test_a_payload_is_not_copied() -> None:
    payload = bytes(100_000)
    assert with_payload(ITEMS, envelope_pb2.Item(id=1), PAYLOAD, payload)[1] is payload

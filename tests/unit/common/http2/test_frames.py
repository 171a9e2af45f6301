from __future__ import annotations

import struct
from itertools import pairwise

import pytest
from hyperframe.frame import DataFrame, GoAwayFrame, HeadersFrame, PingFrame, SettingsFrame, WindowUpdateFrame
from hypothesis import given, settings
from hypothesis import strategies as st

from trireme_common.http2 import frames
from trireme_common.http2.frames import FrameReader, Http2Error

LARGEST = 2**20


class Seen:
    """FrameSink that keeps what came: DATA put together again until its frame ends."""

    def __init__(self) -> None:
        self.frames: list[tuple[int, int, int, bytes]] = []
        self.padding = 0
        self.payload_bytes = 0
        self._data = b""

    def data_arrived(self, stream: int, chunk: memoryview, padding: int) -> None:
        self._data += chunk
        self.payload_bytes += len(chunk)
        self.padding += padding

    def frame_arrived(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind == frames.DATA:
            assert payload == b""
            payload, self._data = self._data, b""
        self.frames.append((kind, flags, stream, payload))


def read(data: bytes, cuts: list[int] | None = None) -> Seen:
    seen = Seen()
    reader = FrameReader(seen, LARGEST)
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts or []), len(data)]
    for start, end in pairwise(edges):
        reader.feed(data[start:end])
    return seen


@st.composite
def any_frame(draw: st.DrawFn) -> tuple[bytes, tuple[int, int, int, bytes]]:
    """A frame as another implementation writes it, and what is to be read of it."""
    stream = draw(st.sampled_from([1, 3, frames.MAX_WINDOW]))
    payload = draw(st.binary(max_size=40))
    if draw(st.booleans()):
        flags = draw(st.sampled_from([0, frames.END_STREAM]))
        names = ["END_STREAM"] if flags else []
        padding = draw(st.none() | st.integers(0, 255))
        if padding is not None:
            flags |= frames.PADDED
            names.append("PADDED")
        data = DataFrame(stream, payload, flags=names, pad_length=padding or 0)
        return data.serialize(), (frames.DATA, flags, stream, payload)
    kind = draw(st.integers(1, 255))
    flags = draw(st.integers(0, 255))
    return frames.frame(kind, flags, stream, payload), (kind, flags, stream, payload)


@settings(deadline=None, max_examples=60)
@given(st.lists(any_frame(), max_size=8), st.lists(st.integers(0, 2**16), max_size=20))
def test_the_same_frames_come_out_whatever_way_the_bytes_are_cut(
    sent: list[tuple[bytes, tuple[int, int, int, bytes]]], cuts: list[int]
) -> None:
    seen = read(b"".join(data for data, _ in sent), cuts)
    assert seen.frames == [expected for _, expected in sent]


@settings(deadline=None, max_examples=25)
@given(st.lists(any_frame(), max_size=3))
def test_single_bytes_are_enough(sent: list[tuple[bytes, tuple[int, int, int, bytes]]]) -> None:
    data = b"".join(data for data, _ in sent)
    assert read(data, list(range(len(data)))).frames == [expected for _, expected in sent]


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.binary(max_size=30), st.none() | st.integers(0, 255)), max_size=6))
def test_payload_and_padding_are_what_flow_control_counts(parts: list[tuple[bytes, int | None]]) -> None:
    sent = [
        DataFrame(1, data, flags=[] if pad is None else ["PADDED"], pad_length=pad or 0)
        for data, pad in parts
    ]
    seen = read(b"".join(each.serialize() for each in sent))
    assert seen.payload_bytes + seen.padding == sum(each.flow_controlled_length for each in sent)


@settings(deadline=None, max_examples=60)
@given(st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=5))
def test_garbage_is_either_read_or_refused(data: bytes, cuts: list[int]) -> None:
    try:
        whole = read(data).frames
    except Http2Error:
        with pytest.raises(Http2Error):
            read(data, cuts)
    else:
        assert read(data, cuts).frames == whole


def test_data_is_handed_on_before_its_frame_is_complete() -> None:
    seen = Seen()
    reader = FrameReader(seen, LARGEST)
    reader.feed(frames.head(1000, frames.DATA, 0, 1) + b"x" * 10)
    assert seen.payload_bytes == 10
    assert not seen.frames


@pytest.mark.parametrize(
    ("length", "kind", "flags"),
    [
        (LARGEST + 1, frames.DATA, 0),
        (65_537, frames.HEADERS, 0),
        (65_537, frames.DATA, frames.PADDED),
        (2**24 - 1, 0x77, 0),
    ],
)
def test_a_frame_too_large_is_refused_by_its_head(length: int, kind: int, flags: int) -> None:
    with pytest.raises(Http2Error) as caught:
        read(frames.head(length, kind, flags, 1))
    assert caught.value.code == frames.FRAME_SIZE_ERROR


@pytest.mark.parametrize("payload", [b"", b"\x05abcd", b"\xff" + bytes(254)])
def test_padding_longer_than_its_frame_is_refused(payload: bytes) -> None:
    with pytest.raises(Http2Error) as caught:
        read(frames.frame(frames.DATA, frames.PADDED, 1, payload))
    assert caught.value.code == frames.PROTOCOL_ERROR


def test_the_block_of_headers_stands_between_priority_and_padding() -> None:
    flags = ["PADDED", "PRIORITY", "END_HEADERS"]
    written = HeadersFrame(1, b"block", flags=flags, pad_length=7, depends_on=3, stream_weight=9).serialize()
    (kind, found, _, payload), *_ = read(written).frames
    assert (kind, frames.unpadded(found, payload)) == (frames.HEADERS, b"block")
    with pytest.raises(Http2Error):
        frames.unpadded(frames.PRIORITISED, b"four")


def test_the_reserved_bit_of_a_stream_is_passed_over() -> None:
    assert read(frames.HEAD.pack(0, 0, frames.PING, 0, 2**31 | 5)).frames == [(frames.PING, 0, 5, b"")]


def test_frames_are_as_another_implementation_writes_them() -> None:
    values = {frames.INITIAL_WINDOW_SIZE: 77, frames.ONE_STREAM: 1}
    written = SettingsFrame(0)
    written.parse_body(memoryview(frames.settings(values)[9:]))
    assert written.settings == frames.read_settings(frames.settings(values)[9:]) == values
    assert frames.window_update(3, 99) == WindowUpdateFrame(3, 99).serialize()
    assert frames.goaway(2) == GoAwayFrame(0, last_stream_id=1, error_code=2).serialize()
    assert frames.pong(b"12345678") == PingFrame(0, b"12345678", flags=["ACK"]).serialize()


def test_payload_of_the_wrong_size_is_refused() -> None:
    for size in (0, 3, 5, 6000):
        with pytest.raises(Http2Error):
            frames.read_number(bytes(size))
        with pytest.raises(Http2Error):
            frames.pong(bytes(size))
    with pytest.raises(Http2Error):
        frames.read_settings(bytes(7))
    assert frames.read_number(struct.pack(">I", 2**31)) == 2**31

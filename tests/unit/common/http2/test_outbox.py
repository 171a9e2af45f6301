from __future__ import annotations

from collections.abc import Iterable

import pytest
from hyperframe.frame import DataFrame, Frame
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.http2_peers import framed
from trireme_common.http2 import frames
from trireme_common.http2.frames import DEFAULT_WINDOW, MAX_WINDOW, Http2Error
from trireme_common.http2.outbox import Outbox

INITIAL = frames.INITIAL_WINDOW_SIZE
FINAL = frames.frame(frames.DATA, frames.END_STREAM, 1)


class Paper:
    """Transport that keeps what is written."""

    def __init__(self) -> None:
        self.written = bytearray()

    def write(self, data: bytes) -> None:
        self.written += data

    def writelines(self, parts: Iterable[bytes]) -> None:
        for part in parts:
            self.written += part

    @property
    def frames(self) -> list[Frame]:
        """What another implementation reads there."""
        found, at = [], 0
        while at < len(self.written):
            frame, length = Frame.parse_frame_header(memoryview(self.written)[at : at + 9])
            frame.parse_body(memoryview(self.written)[at + 9 : at + 9 + length])
            found.append(frame)
            at += 9 + length
        return found

    @property
    def data(self) -> bytes:
        return b"".join(frame.data for frame in self.frames if isinstance(frame, DataFrame))


def outbox() -> tuple[Outbox, Paper]:
    box, paper = Outbox(), Paper()
    box.open(paper)  # type: ignore[arg-type]
    return box, paper


SENDS = st.tuples(st.just("send"), st.sampled_from([0, 1, 100, 5000, 40_000, 70_000]))
GROWS = st.tuples(st.sampled_from(["connection", "stream"]), st.integers(1, 90_000))
SETS = st.tuples(st.just("initial"), st.sampled_from([0, 1, 1000, 65_535, 200_000]))
SIZES = st.tuples(st.just("frame_size"), st.sampled_from([16_384, 20_000, 2**20]))


@settings(deadline=None, max_examples=60)
@given(st.lists(SENDS | GROWS | SETS | SIZES, max_size=25))
def test_all_that_the_windows_allow_is_sent_and_nothing_else(steps: list[tuple[str, int]]) -> None:
    box, paper = outbox()
    expected = b""
    connection = DEFAULT_WINDOW
    stream = initial = DEFAULT_WINDOW
    frame_size = largest_frame = 16_384
    allowed = 0
    for number, (step, value) in enumerate(steps):
        if step == "send":
            message = bytes([number]) * value
            box.send(message)
            expected += framed(message)
        elif step == "connection":
            box.grow(0, value)
            connection += value
        elif step == "stream":
            box.grow(1, value)
            stream += value
        elif step == "initial":
            box.apply({INITIAL: value})
            stream, initial = stream + value - initial, value
        else:
            box.apply({frames.MAX_FRAME_SIZE: value})
            frame_size = value
            largest_frame = max(largest_frame, frame_size)
        # What was sent once stays sent, even where the window has shrunk below it since.
        allowed = max(allowed, min(len(expected), connection, stream))
        assert paper.data == expected[:allowed]
        assert box.writable == (allowed == len(expected))
        assert all(len(frame.data) <= largest_frame for frame in paper.frames if isinstance(frame, DataFrame))


def test_a_window_that_settings_have_made_negative_has_to_be_filled_first() -> None:
    box, paper = outbox()
    box.send(bytes(DEFAULT_WINDOW - 5))
    box.apply({INITIAL: 100})
    box.send(b"later")
    box.grow(0, 1000)
    box.grow(1, DEFAULT_WINDOW - 100)
    assert len(paper.data) == DEFAULT_WINDOW
    assert not box.writable
    box.grow(1, 4)
    assert len(paper.data) == DEFAULT_WINDOW + 4
    box.apply({INITIAL: 106})
    assert paper.data.endswith(framed(b"later"))
    assert box.writable


def test_the_end_comes_after_what_waits() -> None:
    box, paper = outbox()
    box.apply({INITIAL: 3})
    box.send(b"abc")
    box.end_with(FINAL)
    box.send(b"too late")
    box.end_with(FINAL)
    assert not box.ended
    box.grow(1, 100)
    assert box.ended
    assert paper.data == framed(b"abc")
    assert [frame.flags for frame in paper.frames][-1] == {"END_STREAM"}
    assert sum("END_STREAM" in frame.flags for frame in paper.frames) == 1
    assert not box.writable


def test_the_end_of_an_empty_box_is_written_at_once() -> None:
    box, paper = outbox()
    box.end_with(FINAL)
    assert bytes(paper.written) == FINAL
    assert box.ended


def test_messages_of_no_bytes_wait_and_go_like_any_other() -> None:
    box, paper = outbox()
    box.apply({INITIAL: 0})
    box.send(b"")
    box.send(b"")
    assert paper.data == b""
    box.grow(1, 7)
    assert paper.data == framed(b"") + framed(b"")[:2]
    box.grow(1, 3)
    assert paper.data == framed(b"") * 2
    assert box.writable


def test_a_full_socket_stops_the_owner_and_nothing_else() -> None:
    box, paper = outbox()
    assert box.writable
    box.pause()
    assert not box.writable
    box.send(b"abc")
    assert paper.data == framed(b"abc")
    box.resume()
    assert box.writable


def test_nothing_is_sent_before_there_is_a_connection_nor_after() -> None:
    box = Outbox()
    box.send(b"abc")
    box.end_with(FINAL)
    box.write(b"abc")
    assert not box.writable
    box, paper = outbox()
    box.apply({INITIAL: 0})
    box.send(b"abc")
    box.close()
    box.grow(1, 100)
    box.send(b"abc")
    box.end_with(FINAL)
    box.write(b"abc")
    assert len(paper.frames) == 1  # the acknowledgement from before
    assert not box.writable
    assert not box.ended


@pytest.mark.parametrize("stream", [0, 1])
def test_a_window_may_be_as_large_as_it_can_be_and_no_larger(stream: int) -> None:
    box, _ = outbox()
    box.grow(stream, MAX_WINDOW - DEFAULT_WINDOW)
    with pytest.raises(Http2Error) as caught:
        box.grow(stream, 1)
    assert caught.value.code == frames.FLOW_CONTROL_ERROR


def test_windows_of_other_streams_are_not_ours() -> None:
    box, paper = outbox()
    box.apply({INITIAL: 0})
    box.send(b"abc")
    box.grow(3, 1000)
    assert paper.data == b""


def test_settings_out_of_range_are_refused() -> None:
    for code, values in (
        (frames.FLOW_CONTROL_ERROR, {INITIAL: MAX_WINDOW + 1}),
        (frames.PROTOCOL_ERROR, {frames.MAX_FRAME_SIZE: 16_383}),
        (frames.PROTOCOL_ERROR, {frames.MAX_FRAME_SIZE: 2**24}),
    ):
        with pytest.raises(Http2Error) as caught:
            outbox()[0].apply(values)
        assert caught.value.code == code


def test_settings_are_acknowledged_before_they_are_made_use_of() -> None:
    box, paper = outbox()
    box.apply({INITIAL: 0})
    box.send(b"abc")
    box.apply({INITIAL: 100})
    kinds = [type(frame).__name__ for frame in paper.frames]
    assert kinds == ["SettingsFrame", "SettingsFrame", "DataFrame", "DataFrame"]
    assert all(frame.flags == {"ACK"} for frame in paper.frames[:2])


def test_settings_must_not_make_a_window_overflow() -> None:
    box, _ = outbox()
    box.grow(1, 1000)
    with pytest.raises(Http2Error) as caught:
        box.apply({INITIAL: MAX_WINDOW})
    assert caught.value.code == frames.FLOW_CONTROL_ERROR


def test_who_asks_for_ever_and_never_reads_is_given_up() -> None:
    box, paper = outbox()
    pong = frames.pong(bytes(8))
    for _ in range(20_000):
        box.answer(pong)  # it reads
    box.pause()
    with pytest.raises(Http2Error) as caught:  # noqa: PT012  # how many are too many is not the point
        for _ in range(20_000):
            box.answer(pong)
    assert caught.value.code == frames.ENHANCE_YOUR_CALM
    box.resume()
    box.answer(pong)
    assert len(paper.written) < 40_000 * len(pong)

"""Two ends of a channel: messages, descriptors and the moments that go with them."""

import os
from collections.abc import Iterator

import pytest

from trireme_inference.workers.channel import NO_STAMP, Channel, Ended, socket_pair
from trireme_inference.workers.messages import MAX_MESSAGE_BYTES, BadMessage, Done, Failed, Placed, Room

Ends = tuple[Channel, Channel]


@pytest.fixture
def ends() -> Iterator[Ends]:
    one, other = map(Channel, socket_pair())
    yield one, other
    one.close()
    other.close()


def test_moments_go_with_a_message_and_leave_equal_messages_equal(ends: Ends) -> None:
    one, other = ends
    done = Done((Placed("y", "FP32", (1,), 0, 4),))
    one.send(done, stamp=(1.25, 2.5))
    one.send(done, stamp=(3.0, 4.0))
    one.send(Room(7))
    first, _ = other.receive()
    assert other.stamp == (1.25, 2.5)
    second, _ = other.receive()
    assert other.stamp == (3.0, 4.0)
    assert first is second
    assert first == done
    assert other.receive() == (Room(7), [])
    assert other.stamp == NO_STAMP


def test_a_descriptor_arrives_open(ends: Ends) -> None:
    one, other = ends
    reader, writer = os.pipe()
    one.send(Room(1, 2), (reader,), stamp=(5.0, 6.0))
    os.close(reader)
    told, (arrived,) = other.receive()
    assert (told, other.stamp) == (Room(1, 2), (5.0, 6.0))
    os.write(writer, b"x")
    assert os.read(arrived, 1) == b"x"
    os.close(arrived)
    os.close(writer)


def test_the_longest_message_passes(ends: Ends) -> None:
    one, other = ends
    long = Done(tuple(Placed("y" * 100, "FP32", (1,), 0, 4) for _ in range(700)))
    one.send(long)
    assert other.receive()[0] == long
    with pytest.raises(BadMessage, match=str(MAX_MESSAGE_BYTES)):
        one.send(Done(long.outputs * 2))


@pytest.mark.parametrize("data", [b"{", b"0123456789012345", b"0123456789012345[]"])
def test_what_is_no_message_is_refused(data: bytes) -> None:
    ours, theirs = socket_pair()
    channel = Channel(ours)
    with theirs:
        theirs.send(data)
        with pytest.raises(BadMessage):
            channel.receive(1.0)
    channel.close()


def test_an_end_that_is_closed_has_ended() -> None:
    ours, theirs = socket_pair()
    channel = Channel(ours)
    theirs.close()
    with pytest.raises(Ended):
        channel.receive(1.0)
    with pytest.raises(Ended):
        channel.send(Failed("no"))
    channel.close()


def test_a_silent_end_is_not_waited_for(ends: Ends) -> None:
    with pytest.raises(TimeoutError):
        ends[0].receive(0.01)

from __future__ import annotations

import json

import pytest

from trireme_client import Classification, ConnectionLost, Embedding, FailedItem, UnexpectedAnswer
from trireme_client.batches import STREAM_BYTES, STREAM_TEXTS, Lines, Streams
from trireme_client.calls import batch
from trireme_client.results import Served

SERVED = Served(model="m", request_id="r1")


def cut(*texts: str) -> list[list[str]]:
    streams = Streams()
    found = [stream for text in texts if (stream := streams.add(text))]
    return [*found, streams.rest()]


def test_streams_are_bounded_in_number_and_lose_nothing() -> None:
    texts = [str(at) for at in range(STREAM_TEXTS * 2 + 5)]
    found = cut(*texts)
    assert [len(stream) for stream in found] == [STREAM_TEXTS, STREAM_TEXTS, 5]
    assert [text for stream in found for text in stream] == texts


@pytest.mark.parametrize("text", ["\x00" * 1000, "好" * 1000, "😀" * 1000, "a" * 1000])
def test_streams_are_bounded_in_bytes_as_they_are_sent(text: str) -> None:
    found = cut(*[text] * 50)
    assert len(found) > 1
    assert all(len(batch(stream, None, None).content) <= STREAM_BYTES for stream in found)


def test_a_text_beyond_the_bound_travels_alone() -> None:
    assert [len(stream) for stream in cut("a", "b" * STREAM_BYTES, "c")] == [1, 1, 1]


LABEL = {"label": "x", "confidence": 0.75, "probabilities": {"x": 0.75, "y": 0.25}}


def body(*lines: object) -> bytes:
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


ANSWER = body(
    {"index": 0, "text": "a", **LABEL},
    {"index": 1, "error": {"code": "blank_text", "detail": "blank"}},
    {"index": 2, "text": "c", "embedding": [1.5, 2.0]},
    {"total_count": 3, "failed": 1, "inference_time": 0.1},
)


@pytest.mark.parametrize("size", [1, 7, 64, 10_000])
def test_lines_are_read_however_they_are_cut(size: int) -> None:
    lines = Lines(["a", " ", "c"], SERVED)
    found = [item for at in range(0, len(ANSWER), size) for item in lines.feed(ANSWER[at : at + size])]
    lines.finish()
    assert found == [
        Classification(label="x", confidence=0.75, probabilities={"x": 0.75, "y": 0.25}, text="a"),
        FailedItem(code="blank_text", detail="blank", text=" "),
        Embedding(values=(1.5, 2.0), text="c"),
    ]
    assert all(item.served is SERVED for item in found)


@pytest.mark.parametrize("size", [0, 10, len(ANSWER) - 30])
def test_an_answer_that_is_cut_is_a_connection_lost(size: int) -> None:
    lines = Lines(["a", " ", "c"], SERVED)
    lines.feed(ANSWER[:size])
    with pytest.raises(ConnectionLost, match="of 3 texts"):
        lines.finish()


def test_an_answer_that_ends_too_early_is_cut_too() -> None:
    lines = Lines(["a", "b"], SERVED)
    lines.feed(body({"index": 0, **LABEL}, {"total_count": 1}))
    with pytest.raises(ConnectionLost, match="1 of 2"):
        lines.finish()


@pytest.mark.parametrize(
    "line",
    [{"index": 1, **LABEL}, {"index": 0}, {"index": 0, "error": "no"}, ["a"], "a", {"index": "0", **LABEL}],
)
def test_what_is_no_line_of_an_answer_is_unexpected(line: object) -> None:
    with pytest.raises(UnexpectedAnswer) as caught:
        Lines(["a"], SERVED).feed(body(line))
    assert caught.value.request_id == "r1"

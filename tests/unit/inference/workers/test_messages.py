"""Control messages come back as they went, and what is none is said to be none."""

import pytest

from trireme_inference.workers import messages
from trireme_inference.workers.messages import (
    BadMessage,
    Done,
    Failed,
    Message,
    Open,
    Opened,
    Placed,
    Room,
    Run,
)

PLACED = (Placed("x", "FP32", (2, 3), 0, 24), Placed("t", "BYTES", (0,), 64, 0))
ALL: list[Message] = [
    Open("module:function", "/models/m/1", {"device": "cpu", "threads": 2}),
    Opened((("x", "FP32", (-1, 4)),), (("y", "BYTES", (-1,)),), "onnxruntime_onnx", "cpu"),
    Run(3, PLACED, ("y", "z"), 128, (1, 2)),
    Done(PLACED),
    Room(4096, 7),
    Failed("中文"),
    Failed("too large", missing=1 << 40),
]


@pytest.mark.parametrize("message", ALL, ids=lambda message: type(message).__name__)
def test_a_message_comes_back_as_it_went(message: Message) -> None:
    assert messages.decode(messages.encode(message)) == message


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff",
        b"[]",
        b"{}",
        b'{"Run":{}}',
        b'{"Other":{}}',
        b'{"Done":{"outputs":[{"name":"y"}]}}',
        b'{"Room":{"size":1},"Done":{"outputs":[]}}',
        b'{"Opened":{"inputs":[["x"]],"outputs":[],"platform":"","device":""}}',
    ],
)
def test_what_is_no_message_is_refused(data: bytes) -> None:
    with pytest.raises(BadMessage):
        messages.decode(data)


def test_a_detail_is_cut_and_a_message_that_would_not_pass_is_refused() -> None:
    assert len(messages.encode(Failed("x" * 10**6))) < 4096
    assert messages.decode(messages.encode(Failed("x" * 10**6, missing=3))) == Failed("x" * 2000, missing=3)
    with pytest.raises(BadMessage, match="control message"):
        messages.encode(Run(1, PLACED * 2000, ("y",), 0))

from __future__ import annotations

import pytest

from trireme_cli.loadtest.http import Response
from trireme_cli.loadtest.tally import Lost, Tally

HEAD = (
    b"HTTP/1.1 200 OK\r\nServer-Timing: preprocess;dur=1.0, total;dur=3.0\r\n"
    b"x-model-version: 2\r\nX-Cache: miss\r\n"
)


def test_a_good_answer() -> None:
    tally = Tally()
    tally.began = 10.0
    tally.note(11.0, 11.5, 100, Response(200, HEAD, b"{}"))
    assert (tally.requests, tally.succeeded, tally.failed, tally.seconds) == (1, 1, 0, 1.5)
    assert tally.latency.max == 0.5
    assert (tally.sent_bytes, tally.received_bytes) == (100, len(HEAD) + 4)
    assert (tally.cache, tally.versions) == ({"miss": 1}, {"2": 1})
    assert tally.timings["preprocess"].max == pytest.approx(0.001)
    assert tally.timings["gateway"].max == pytest.approx(0.002)


@pytest.mark.parametrize(
    ("outcome", "kind", "example"),
    [
        (Lost("timeout", "no answer within 1 s"), "timeout", "no answer within 1 s"),
        (Response(503, b"", b'{"code": "queue_full", "detail": "full"}'), "HTTP 503 queue_full", "full"),
        (Response(404, b"", b'{"error": "no model"}'), "HTTP 404", "no model"),
        (Response(502, b"", b"<html>Bad Gateway"), "HTTP 502", "<html>Bad Gateway"),
        (Response(500, b"", b"[1]"), "HTTP 500", "[1]"),
    ],
)
def test_errors_by_kind(outcome: Response | Lost, kind: str, example: str) -> None:
    tally = Tally()
    for _ in range(2):
        tally.note(0.0, 0.1, 1, outcome)
    assert (tally.failed, tally.succeeded, tally.latency.count) == (2, 0, 0)
    (found,) = tally.errors
    assert found == kind
    assert (tally.errors[kind].count, tally.errors[kind].example) == (2, example)
    assert tally.timeline.steps[0].errors == 2

from __future__ import annotations

import pytest

from benchmarks.load.http import ProtocolError, ResponseParser, build_request

ANSWER = b'HTTP/1.1 200 OK\r\ndate: now\r\nContent-Length: 7\r\nX-Cache: off\r\n\r\n{"a":1}'


def test_a_whole_answer_in_one_piece() -> None:
    response = ResponseParser().feed(ANSWER)
    assert response is not None
    assert (response.status, response.body) == (200, b'{"a":1}')
    assert response.header("x-cache") == "off"
    assert response.header("content-length") == "7"
    assert response.header("cache") is None


@pytest.mark.parametrize("cut", range(1, len(ANSWER)))
def test_an_answer_in_two_pieces_wherever_it_is_cut(cut: int) -> None:
    parser = ResponseParser()
    assert parser.feed(ANSWER[:cut]) is None
    response = parser.feed(ANSWER[cut:])
    assert response is not None
    assert response.body == b'{"a":1}'


def test_byte_by_byte_and_then_another_answer() -> None:
    parser = ResponseParser()
    for _ in range(2):
        answers = [parser.feed(ANSWER[at : at + 1]) for at in range(len(ANSWER))]
        assert [answer is not None for answer in answers] == [False] * (len(ANSWER) - 1) + [True]


def test_an_empty_body_and_an_error_status() -> None:
    response = ResponseParser().feed(b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n")
    assert response is not None
    assert (response.status, response.body) == (503, b"")


def test_a_body_that_looks_like_a_head() -> None:
    body = b"\r\n\r\ncontent-length: 99\r\n\r\n"
    response = ResponseParser().feed(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))
    assert response is not None
    assert response.body == body


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (ANSWER + b"H", "1 bytes follow"),
        (b"HTTP/1.1 200 OK\r\nserver: x\r\n\r\n", "no content-length"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", "chunked"),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\ncontent-length: 0\r\n\r\n", "close"),
        (b"HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n", "no status line"),
        (b"HTTP/1.1 999 OK\r\ncontent-length: 0\r\n\r\n", "no status line"),
        (b"nonsense\r\n\r\n", "no status line"),
    ],
)
def test_what_a_kept_connection_cannot_carry(data: bytes, message: str) -> None:
    with pytest.raises(ProtocolError, match=message):
        ResponseParser().feed(data)


def test_a_request_is_whole() -> None:
    request = build_request("/predict", "application/json", b"{}")
    assert request == (
        b"POST /predict HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
        b"content-length: 2\r\n\r\n{}"
    )

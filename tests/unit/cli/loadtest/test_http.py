from __future__ import annotations

import pytest

from trireme_cli.loadtest.http import ProtocolError, ResponseParser, build_request

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
        (b"HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n", "no status line"),
        (b"HTTP/1.1 999 OK\r\ncontent-length: 0\r\n\r\n", "no status line"),
        (b"nonsense\r\n\r\n", "no status line"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\n", "gzip"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n", "no chunk size"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nabcdef", "longer than it says"),
        (b"a" * 300_000, "no end of the headers"),
    ],
)
def test_what_is_no_answer(data: bytes, message: str) -> None:
    with pytest.raises(ProtocolError, match=message):
        ResponseParser().feed(data)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", "chunked"),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\ncontent-length: 0\r\n\r\n", "close"),
    ],
)
def test_what_a_strict_one_refuses(data: bytes, message: str) -> None:
    with pytest.raises(ProtocolError, match=message):
        ResponseParser(strict=True).feed(data)


CHUNKED = (
    b"HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"3\r\nabc\r\nA;name=value\r\n0123456789\r\n0\r\nx-trailer: 1\r\n\r\n"
)


@pytest.mark.parametrize("cut", range(1, len(CHUNKED)))
def test_chunks_in_two_pieces_wherever_they_are_cut(cut: int) -> None:
    parser = ResponseParser()
    assert parser.feed(CHUNKED[:cut]) is None
    response = parser.feed(CHUNKED[cut:])
    assert response is not None
    assert (response.body, response.closes) == (b"abc0123456789", True)
    kept = parser.feed(ANSWER)
    assert kept is not None
    assert not kept.closes


def test_a_request_is_whole() -> None:
    request = build_request("/predict", "application/json", b"{}")
    assert request == (
        b"POST /predict HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
        b"content-length: 2\r\n\r\n{}"
    )


def test_a_request_with_headers_of_its_own() -> None:
    request = build_request("/x", "text/plain", b"", host="a:1", headers={"cache-control": "no-cache"})
    assert request == (
        b"POST /x HTTP/1.1\r\nhost: a:1\r\ncontent-type: text/plain\r\ncontent-length: 0\r\n"
        b"cache-control: no-cache\r\n\r\n"
    )

"""One connection against servers that behave in every way."""

from __future__ import annotations

from tests.unit.cli.loadtest.serving import served
from trireme_cli.loadtest.connection import Address, Connection
from trireme_cli.loadtest.http import Response, build_request
from trireme_cli.loadtest.tally import Lost
from trireme_cli.up.ports import PortAllocator

REQUEST = build_request("/", "text/plain", b"hello")


def ok(body: bytes, headers: bytes = b"") -> bytes:
    return b"HTTP/1.1 200 OK\r\n%scontent-length: %d\r\n\r\n%s" % (headers, len(body), body)


async def asked(port: int, times: int, timeout_seconds: float = 30.0) -> list[Response | Lost]:
    connection = Connection(Address("127.0.0.1", port), timeout_seconds)
    try:
        return [await connection.ask(REQUEST) for _ in range(times)]
    finally:
        connection.close()


async def test_answers_come_over_one_connection() -> None:
    async with served(ok) as port:
        outcomes = await asked(port, 3)
    assert [isinstance(each, Response) and each.body for each in outcomes] == [b"hello"] * 3


async def test_a_connection_that_the_server_closes_is_opened_again() -> None:
    async with served(lambda body: ok(body, b"connection: close\r\n")) as port:
        outcomes = await asked(port, 3)
    assert [isinstance(each, Response) for each in outcomes] == [True] * 3


async def test_a_lost_answer_is_one_error_and_the_next_may_be_good() -> None:
    answers = iter([None, ok(b"yes")])
    async with served(lambda body: next(answers)) as port:
        lost, good = await asked(port, 2)
    assert isinstance(lost, Lost)
    assert lost.kind == "reset"
    assert isinstance(good, Response)


async def test_an_answer_that_is_late_does_not_meet_the_next_request() -> None:
    answers = iter([b"", ok(b"second")])
    async with served(lambda body: next(answers)) as port:
        late = await asked(port, 1, 0.05)
        (good,) = await asked(port, 1)
    assert late == [Lost("timeout", "no answer within 0.05 s")]
    assert isinstance(good, Response)
    assert good.body == b"second"


async def test_nonsense_is_a_protocol_error() -> None:
    async with served(lambda body: b"nonsense\r\n\r\n") as port:
        (lost,) = await asked(port, 1)
    assert isinstance(lost, Lost)
    assert lost.kind == "protocol"
    assert "no status line" in lost.detail


async def test_nobody_listens() -> None:
    (lost,) = await asked(PortAllocator().free("127.0.0.1"), 1)
    assert isinstance(lost, Lost)
    assert lost.kind == "connect"

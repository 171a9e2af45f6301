"""The body of a batch: taken as it comes, read ahead while an answer waits for its reader."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from trireme_common.errors import Code, TriremeError
from trireme_gateway.batch_body import BatchBody

ANSWER = {"type": "http.response.body", "body": b"answer", "more_body": True}


class Caller:
    """Sends its chunks when it is asked, and what is put into `late` when that comes; takes an answer when
    `reads` is set."""

    def __init__(self, *chunks: bytes) -> None:
        self.chunks = list(chunks)
        self.asked = 0
        self.late: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.reads = asyncio.Event()
        self.sent: list[Any] = []

    async def receive(self) -> Any:
        self.asked += 1
        if self.chunks:
            return request(self.chunks.pop(0))
        return await self.late.get()

    async def send(self, message: Any) -> None:
        if not self.reads.is_set():
            await self.reads.wait()
        self.sent.append(message)


def request(chunk: bytes, more: bool = True) -> dict[str, Any]:
    return {"type": "http.request", "body": chunk, "more_body": more}


async def turns(count: int = 20) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def collect(body: BatchBody) -> list[bytes]:
    return [chunk async for chunk in body.chunks()]


async def test_chunks_pass_as_they_come_but_for_empty_ones() -> None:
    caller = Caller(b"a", b"", b"b")
    caller.late.put_nowait(request(b"c", more=False))
    assert await collect(BatchBody(caller.receive, 10)) == [b"a", b"b", b"c"]


async def test_a_caller_that_leaves_is_said_behind_what_it_sent() -> None:
    caller = Caller(b"a")
    caller.late.put_nowait({"type": "http.disconnect"})
    chunks = BatchBody(caller.receive, 10).chunks()
    assert await anext(chunks) == b"a"
    with pytest.raises(TriremeError) as caught:
        await anext(chunks)
    assert caught.value.code is Code.CANCELLED


async def test_an_answer_that_is_taken_at_once_reads_nothing_ahead() -> None:
    caller = Caller(b"a", b"b")
    caller.reads.set()
    body = BatchBody(caller.receive, 10)
    await body.send(ANSWER, caller.send)
    assert (caller.sent, caller.asked) == ([ANSWER], 0)


async def test_while_an_answer_waits_the_body_is_read_up_to_the_limit() -> None:
    caller = Caller(*[b"12345"] * 10)
    body = BatchBody(caller.receive, 12)
    sending = asyncio.create_task(body.send(ANSWER, caller.send))
    await turns()
    assert caller.asked == 3
    caller.reads.set()
    await sending
    caller.late.put_nowait(request(b"", more=False))
    assert await collect(body) == [b"12345"] * 10


async def test_what_comes_behind_an_answer_is_not_lost() -> None:
    caller = Caller()
    body = BatchBody(caller.receive, 10)
    sending = asyncio.create_task(body.send(ANSWER, caller.send))
    await turns()
    assert caller.asked == 1
    caller.reads.set()
    await sending
    caller.late.put_nowait(request(b"late", more=False))
    assert await collect(body) == [b"late"]


async def test_a_reader_goes_on_while_an_answer_waits() -> None:
    caller = Caller()
    body = BatchBody(caller.receive, 10)
    chunks = body.chunks()
    reading = asyncio.ensure_future(anext(chunks))
    await turns()
    sending = asyncio.create_task(body.send(ANSWER, caller.send))
    await turns()
    assert caller.asked == 1
    for chunk in (b"a", b"b", b"c"):
        caller.late.put_nowait(request(chunk, more=chunk != b"c"))
    await turns()
    assert caller.asked == 3
    assert await reading == b"a"
    caller.reads.set()
    await sending
    assert [chunk async for chunk in chunks] == [b"b", b"c"]


async def test_the_end_of_the_body_may_come_ahead() -> None:
    caller = Caller(b"a")
    caller.late.put_nowait(request(b"b", more=False))
    body = BatchBody(caller.receive, 10)
    sending = asyncio.create_task(body.send(ANSWER, caller.send))
    await turns()
    caller.reads.set()
    await sending
    await body.send(ANSWER, caller.send)
    assert (await collect(body), caller.asked) == ([b"a", b"b"], 2)


async def test_a_cancelled_answer_leaves_no_task_behind() -> None:
    caller = Caller()
    before = asyncio.all_tasks()
    sending = asyncio.create_task(BatchBody(caller.receive, 10).send(ANSWER, caller.send))
    await turns()
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    assert asyncio.all_tasks() == before

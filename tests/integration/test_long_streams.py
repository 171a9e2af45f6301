"""100,000 texts through one call of a real gateway: its memory, its order, and who holds back whom."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import httpx
import pytest

from tests.support.gateway_process import Gateway, gateway
from tests.support.hops import refuse_blank
from tests.support.stages import until
from trireme_protos.inference import grpc_service_pb2 as pb

TEXTS = 100_000
FLAT_BYTES = 12 * 1024 * 1024
"""How much the gateway may grow while 30 MB of texts pass: less than half of them."""
FILLING = "很" * 100
STREAM = "/inference.GRPCInferenceService/ModelStreamInfer"
HEAD = (
    b"POST /predict/batch HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-ndjson\r\n"
    b"transfer-encoding: chunked\r\n\r\n"
)
# Answers that are kept take memory by intent; here every text is asked once.
UNCACHED = {"TRIREME_GATEWAY_CACHE_MEMORY_BYTES": "0"}


class Connection:
    """One batch over a socket, written and read at the same time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, texts: Iterable[str]) -> None:
        """Writes the texts a line each, in one part."""
        part = "".join(f"{json.dumps(text, ensure_ascii=False)}\n" for text in texts).encode()
        self._writer.write(b"%x\r\n%b\r\n" % (len(part), part))
        await self._writer.drain()

    def end(self) -> None:
        self._writer.write(b"0\r\n\r\n")

    def leave(self) -> None:
        self._writer.close()

    async def lines(self) -> AsyncIterator[Any]:
        """What is answered, without HTTP's own lines between the parts."""
        while line := await self._reader.readline():
            if line.startswith(b"{"):
                yield json.loads(line)


@asynccontextmanager
async def batch(running: Gateway) -> AsyncIterator[Connection]:
    host, port = running.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(HEAD)
    try:
        yield Connection(reader, writer)
    finally:
        writer.transport.abort()  # what is not written yet is not waited for


def text(number: int) -> str:
    return " " if number % 1000 == 7 else f"{number} {FILLING}"


def stream_request(first: int, count: int) -> bytes:
    """A request of ModelStreamInfer with `count` texts; its id is the number of the first."""
    made = pb.ModelInferRequest(model_name="m", id=str(first))
    entry = made.inputs.add(name="text", datatype="BYTES", shape=[count])
    entry.contents.bytes_contents.extend(f"{first + at} {FILLING}".encode() for at in range(count))
    return made.SerializeToString()


class Growth:
    """The gateway's memory, looked at while it works: how much it grew after the first tenth."""

    def __init__(self, running: Gateway, total: int) -> None:
        self._running = running
        self._total = total
        self._base = 0
        self.most = 0

    def look(self, done: int) -> None:
        if done * 10 >= self._total:
            now = self._running.resident_bytes
            self._base = self._base or now
            self.most = max(self.most, now - self._base)


async def test_100_000_texts_in_one_batch_leave_the_memory_flat(tmp_path: Path) -> None:
    async with gateway(tmp_path / "log", refuse_blank, **UNCACHED) as running, batch(running) as connection:

        async def send() -> None:
            for start in range(0, TEXTS, 100):
                await connection.send(map(text, range(start, start + 100)))
            connection.end()

        sending = asyncio.create_task(send())
        growth = Growth(running, TEXTS)
        found = failed = 0
        async for answer in connection.lines():
            if "total_count" in answer:
                break
            assert answer["index"] == found
            assert answer.get("text") == (None if "error" in answer else text(found))
            failed += "error" in answer
            found += 1
            if not found % 5_000:
                growth.look(found)
        await sending
    assert (found, failed) == (TEXTS, TEXTS // 1000)
    assert (answer["total_count"], answer["failed"]) == (TEXTS, TEXTS // 1000)
    assert growth.most < FLAT_BYTES


async def test_100_000_texts_in_one_stream_leave_the_memory_flat(tmp_path: Path) -> None:
    each = 50
    async with (
        gateway(tmp_path / "log", refuse_blank, **UNCACHED) as running,
        grpc.aio.insecure_channel(running.grpc) as channel,
    ):
        growth = Growth(running, TEXTS)
        call = channel.stream_stream(STREAM, None, None)()

        async def send() -> None:
            for start in range(0, TEXTS, each):
                await call.write(stream_request(start, each))
            await call.done_writing()

        sending = asyncio.create_task(send())
        for start in range(0, TEXTS, each):
            answer = pb.ModelStreamInferResponse.FromString(await call.read())
            assert not answer.error_message
            assert answer.infer_response.id == str(start)
            if not start % 5_000:
                growth.look(start)
        await sending
        assert await call.read() is grpc.aio.EOF
    assert growth.most < FLAT_BYTES
    assert running.postprocess.items == TEXTS


async def test_a_gateway_that_is_told_to_stop_answers_what_its_streams_have_taken(tmp_path: Path) -> None:
    made = gateway(tmp_path / "log", **UNCACHED)
    async with made as running, grpc.aio.insecure_channel(running.grpc) as channel:
        running.inference.gate.clear()
        call = channel.stream_stream(STREAM, None, None)()
        taken = 2  # as many messages as are under way at once; what comes then waits for their answers
        for number in range(taken):
            await call.write(stream_request(number, 1))
        await until(lambda: running.inference.items == taken)
        running.process.terminate()
        running.inference.gate.set()
        for number in range(taken):
            answer = pb.ModelStreamInferResponse.FromString(await call.read())
            assert (answer.error_message, answer.infer_response.id) == ("", str(number))
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call.read()
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert "shutting down" in str(caught.value.details())


async def test_a_client_that_writes_all_before_it_reads_is_answered(tmp_path: Path) -> None:
    """24 MB, more than the sockets of both ends take in: httpx reads nothing before it has written them."""
    texts = [f"{number} {FILLING}{FILLING}" for number in range(40_000)]
    async with (
        gateway(tmp_path / "log", **UNCACHED) as running,
        httpx.AsyncClient(base_url=running.url, timeout=20) as client,
    ):
        response = await client.post("/predict/batch", json={"texts": texts})
    *found, last = response.text.splitlines()
    assert len(found) == json.loads(last)["total_count"] == len(texts)
    assert json.loads(last)["failed"] == 0


async def test_a_slow_reader_holds_back_the_source(tmp_path: Path) -> None:
    limit = 4 * 1024 * 1024
    made = gateway(tmp_path / "log", **UNCACHED, TRIREME_GATEWAY_MAX_BODY_BYTES=str(limit))
    async with made as running, batch(running) as connection:
        before = running.resident_bytes
        parts = 0

        async def pour() -> None:
            nonlocal parts
            while True:
                await connection.send([FILLING] * 100)
                parts += 1

        pouring = asyncio.create_task(pour())
        known = -1
        while known != (known := parts):
            await asyncio.sleep(0.5)
        # What the sockets of both ends take in comes on top of what the gateway reads ahead.
        assert parts * 100 * len(FILLING.encode()) < limit + 40 * 1024 * 1024
        assert running.resident_bytes < before + limit + FLAT_BYTES
        pouring.cancel()


async def test_a_caller_that_leaves_takes_its_work_out_of_the_stages(tmp_path: Path) -> None:
    async with gateway(tmp_path / "log", **UNCACHED) as running, batch(running) as connection:
        running.inference.gate.clear()
        await connection.send(["x"] * 1000)
        await until(lambda: running.inference.items >= 64)
        connection.leave()
        await until(lambda: running.inference.left > 0)
        begun = running.inference.items
        running.inference.gate.set()
        async with httpx.AsyncClient(base_url=running.url) as client:
            assert (await client.post("/predict", json={"texts": ["好"]})).status_code == 200
        # Nothing but the last text went on.
        assert running.inference.items == begun + 1
        assert running.postprocess.items == 1


async def test_a_stream_that_is_cancelled_takes_its_work_out_of_the_stages(tmp_path: Path) -> None:
    made = gateway(tmp_path / "log", **UNCACHED)
    async with made as running, grpc.aio.insecure_channel(running.grpc) as channel:
        running.inference.gate.clear()
        call = channel.stream_stream(STREAM, None, None)()
        for number in range(10):
            await call.write(stream_request(number, 5))
        await until(lambda: running.inference.items >= 10)  # the others wait in the gateway for these
        call.cancel()
        await until(lambda: running.inference.left == running.inference.items)
        running.inference.gate.set()
        other = channel.stream_stream(STREAM, None, None)()
        await other.write(stream_request(0, 1))
        await other.done_writing()
        assert not pb.ModelStreamInferResponse.FromString(await other.read()).error_message
        assert running.postprocess.items == 1

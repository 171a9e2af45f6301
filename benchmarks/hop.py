"""`python -m benchmarks.hop`: a message there and back on a hop's stream, by grpc.aio and by own frames.

The server is a process of its own and the same for both: whom it serves itself, and whom it passes on, is
its client's choice, so grpc.aio at both ends is asked at a second port without our door. Rounds in turn.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import os
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from multiprocessing.connection import Connection
from typing import Any

import trireme_common  # noqa: F401  # before grpc, whose poller it chooses (ADR 12)

# isort: split

import grpc
import grpc.aio
import uvloop

from trireme_common.grpc_server import MAX_MESSAGE_BYTES, GrpcServer
from trireme_common.http2.client import ClientStream
from trireme_common.http2.connection import StreamEnd
from trireme_common.http2.keepalive import Patience
from trireme_common.http2.server import ServerStream

_SERVICE, _METHOD = "trireme.benchmarks.Echo", "Exchange"
_PATH = f"/{_SERVICE}/{_METHOD}"
_MESSAGE = bytes(200)
_WARM_UP = 300
_PATIENCE = Patience(idle_seconds=20.0, answer_seconds=5.0)

Ask = Callable[[], Awaitable[object]]


class _Echo:
    """StreamOwner of the server."""

    def __init__(self, connection: ServerStream) -> None:
        self.message_received = connection.send
        self.reading_ended = lambda: connection.end(StreamEnd(0, ""))

    def writing_resumed(self) -> None: ...

    def stream_closed(self, end: StreamEnd) -> None: ...


async def _echo(messages: AsyncIterator[bytes], context: Any) -> None:
    async for message in messages:
        await context.write(message)


async def _serve(pipe: Connection) -> None:
    handler = grpc.stream_stream_rpc_method_handler(_echo)
    handlers = [grpc.method_handlers_generic_handler(_SERVICE, {_METHOD: handler})]
    plain = GrpcServer("127.0.0.1", 0, handlers, [])
    own = GrpcServer("127.0.0.1", 0, handlers, [], streams={_PATH: _Echo})
    for server in (plain, own):
        await server.start()
    pipe.send((plain.port, own.port))
    loop = asyncio.get_running_loop()
    while await loop.run_in_executor(None, pipe.recv):  # each time it is asked for the CPU time so far
        pipe.send(time.process_time())
    for server in (plain, own):
        await server.stop(drain_seconds=0, grace_seconds=0)


def _server(pipe: Connection) -> None:
    uvloop.run(_serve(pipe))


@asynccontextmanager
async def _by_grpc(port: int) -> AsyncIterator[Ask]:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        open_stream: Any = channel.stream_stream(_PATH, None, None)
        call = open_stream()

        async def ask() -> object:
            await call.write(_MESSAGE)
            return await call.read()

        yield ask
        call.cancel()


class _Asker:
    """StreamOwner that waits for one answer at a time."""

    def __init__(self) -> None:
        self.answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def message_received(self, message: bytes) -> None:
        self.answer.set_result(message)

    def reading_ended(self) -> None: ...

    def writing_resumed(self) -> None: ...

    def stream_closed(self, end: StreamEnd) -> None:
        if not self.answer.done():
            self.answer.set_exception(ConnectionError(end.detail))


@asynccontextmanager
async def _by_own_frames(port: int) -> AsyncIterator[Ask]:
    owner = _Asker()
    stream = ClientStream(f"127.0.0.1:{port}", _PATH, owner, _PATIENCE, MAX_MESSAGE_BYTES)
    await stream.open()

    async def ask() -> object:
        owner.answer = asyncio.get_running_loop().create_future()
        stream.send(_MESSAGE)
        return await owner.answer

    try:
        yield ask
    finally:
        stream.abort()


async def _measure(ask: Ask, messages: int, server_cpu: Callable[[], float]) -> tuple[float, float, float]:
    """p50 of a round trip, and the CPU time of client and server for one, all in microseconds."""
    for _ in range(_WARM_UP):
        assert await ask() == _MESSAGE
    own, theirs = time.process_time(), server_cpu()
    seconds = []
    for _ in range(messages):
        started = time.perf_counter()
        await ask()
        seconds.append(time.perf_counter() - started)
    own, theirs = time.process_time() - own, server_cpu() - theirs
    return statistics.median(seconds) * 1e6, own / messages * 1e6, theirs / messages * 1e6


async def _run(rounds: int, messages: int, pipe: Connection) -> None:
    ports = pipe.recv()

    def server_cpu() -> float:
        pipe.send(True)
        found: float = pipe.recv()
        return found

    print(f"{'':14}{'p50 us':>10}{'client CPU us':>16}{'server CPU us':>16}")
    for _ in range(rounds):
        for name, connect, port in zip(
            ("grpc.aio", "own frames"), (_by_grpc, _by_own_frames), ports, strict=True
        ):
            async with connect(port) as ask:
                p50, client, server = await _measure(ask, messages, server_cpu)
            print(f"{name:14}{p50:10.0f}{client:16.0f}{server:16.0f}", flush=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.hop", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3, help="both ways in turn (default 3)")
    parser.add_argument("--messages", type=int, default=1500, help="of each measurement (default 1500)")
    asked = parser.parse_args(arguments)
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_server, args=(theirs,))
    process.start()
    try:
        uvloop.run(_run(asked.rounds, asked.messages, ours))
        ours.send(False)
    finally:
        process.join(10)
        if process.is_alive():
            process.kill()


if __name__ == "__main__":
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    main()

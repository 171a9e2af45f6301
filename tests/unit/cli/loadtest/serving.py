"""A tiny HTTP server whose answers a test writes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

Answer = Callable[[bytes], bytes | None]


@asynccontextmanager
async def served(answer: Answer) -> AsyncGenerator[int, None]:
    """Port of a server that answers each body as told, and hangs up where it is told nothing; an empty
    answer is none, and it waits on."""
    handlers: list[asyncio.Task[None]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        handlers.append(task)
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
                content = answer(await reader.readexactly(length))
                if content is None:
                    return
                writer.write(content)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]
    await asyncio.gather(*handlers)

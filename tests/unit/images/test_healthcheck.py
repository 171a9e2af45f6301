"""The health check that containers run, against a real server."""

from __future__ import annotations

import asyncio
import sys

from trireme_common.grpc_server import GrpcServer


async def _check(*arguments: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "trireme_common.healthcheck", *arguments, stderr=asyncio.subprocess.PIPE
    )
    _, errors = await process.communicate()
    assert process.returncode is not None
    return process.returncode, errors.decode()


async def test_it_tells_serving_from_not_serving() -> None:
    server = GrpcServer("127.0.0.1", 0, [], [])
    await server.start()
    address = f"127.0.0.1:{server.port}"
    try:
        assert await _check(address, "liveness") == (0, "")
        assert await _check(address, "readiness") == (1, f"{address} readiness: not serving\n")
        assert (await _check(address, "unheard-of"))[0] == 1
        await server.set_ready(True)
        assert await _check(address, "readiness") == (0, "")
        assert await _check(address) == (0, "")
    finally:
        await server.stop(drain_seconds=0, grace_seconds=0)
    assert (await _check(address))[0] == 1


async def test_a_call_without_an_address_is_usage() -> None:
    for arguments in ([], ["no-port"], ["a:1", "b", "c"]):
        code, errors = await _check(*arguments)
        assert code == 2
        assert errors.startswith("usage: ")

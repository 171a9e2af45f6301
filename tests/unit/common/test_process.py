from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap

import pytest

SERVICE = textwrap.dedent(
    """
    import asyncio, sys
    from pydantic_settings import SettingsConfigDict
    from trireme_common.errors import SettingsError
    from trireme_common.process import run_service
    from trireme_common.settings import ServiceSettings

    class Toy(ServiceSettings):
        model_config = SettingsConfigDict(env_prefix="TRIREME_TOY_")
        port: int = 1

    async def serve(settings, stop):
        if settings.port == 13:
            raise SettingsError("port 13 is in use; set TRIREME_TOY_PORT")
        if settings.port == 14:
            raise RuntimeError("broken")
        print("up", flush=True)
        await stop.wait()

    sys.exit(run_service("toy", Toy, serve))
    """
)


def start(port: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", SERVICE],
        env={**os.environ, "TRIREME_TOY_PORT": port},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_well(number: signal.Signals) -> None:
    with start("1") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        process.send_signal(number)
        _, errors = process.communicate(timeout=30)
        assert process.returncode == 0
        assert '"stopped"' in errors


@pytest.mark.parametrize(
    ("port", "code", "expected"),
    [
        ("many", 2, "trireme-toy: TRIREME_TOY_PORT: Input should be a valid integer"),
        ("13", 2, "trireme-toy: port 13 is in use; set TRIREME_TOY_PORT"),
        ("14", 1, "RuntimeError: broken"),
    ],
)
def test_a_failure_has_its_exit_code_and_says_why(port: str, code: int, expected: str) -> None:
    with start(port) as process:
        _, errors = process.communicate(timeout=30)
        assert process.returncode == code
        assert expected in errors
        assert ("Traceback" in errors) == (code == 1)


HEAP = textwrap.dedent(
    """
    import ctypes
    from trireme_common.process import keep_freed_memory

    class Mallinfo(ctypes.Structure):
        _fields_ = [(name, ctypes.c_size_t) for name in "arena ordblks smblks hblks hblkhd e f g h i".split()]

    libc = ctypes.CDLL(None)
    libc.mallinfo2.restype = Mallinfo
    libc.malloc.argtypes, libc.malloc.restype = (ctypes.c_size_t,), ctypes.c_void_p
    keep_freed_memory()
    mapped = [libc.mallinfo2().hblkhd]
    for size in (150_000, 3_000_000, 5_000_000):
        libc.malloc(size)
        mapped.append(libc.mallinfo2().hblkhd)
    print([after > before for before, after in zip(mapped, mapped[1:])])
    """
)


def test_memory_of_bodies_comes_from_the_heap_and_that_of_giants_does_not() -> None:
    assert subprocess.check_output([sys.executable, "-c", HEAP], text=True) == "[False, False, True]\n"

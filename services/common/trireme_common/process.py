"""How a service process begins and ends: settings, logs, event loop, signals, exit code."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog
import uvloop

from trireme_common.errors import SettingsError
from trireme_common.logs import configure_logs
from trireme_common.settings import ServiceSettings, load_settings

S = TypeVar("S", bound=ServiceSettings)

EXIT_USAGE = 2

# Requests make much that reference counting frees and nearly nothing that only the collector finds, so
# the defaults (700, 10, 10) walk the requests under way hundreds of times a second for nothing.
_GC_THRESHOLDS = (20_000, 20, 50)

# Of glibc's malloc.h, and what they are set to, in bytes.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_KEPT_BYTES = 32 * 1024 * 1024
_OWN_MAPPING_BYTES = 4 * 1024 * 1024


def run_service(
    name: str, settings_class: type[S], serve: Callable[[S, asyncio.Event], Awaitable[None]]
) -> int:
    """Runs `serve(settings, stop)`; SIGINT and SIGTERM set `stop`. Returns the exit code.

    0 after a signal, 2 for a setting that cannot be honoured.
    """
    try:
        settings = load_settings(settings_class)
    except SettingsError as error:
        print(f"trireme-{name}: {error.detail}", file=sys.stderr)
        return EXIT_USAGE
    writer = configure_logs(name, settings.log_level, settings.log_format)
    gc.set_threshold(*_GC_THRESHOLDS)
    keep_freed_memory()
    settle_heap()
    try:
        uvloop.run(_until_signal(settings, serve))
    except SettingsError as error:
        print(f"trireme-{name}: {error.detail}", file=sys.stderr)
        return EXIT_USAGE
    finally:
        structlog.get_logger(name).info("stopped")
        writer.close()
    return 0


def keep_freed_memory() -> None:
    """What is freed at the end of the heap, up to 32 MiB, stays with the process where glibc is.

    Left to itself it gives memory for bodies of 128 KiB and more back with every request, and takes it
    anew: the page faults of one such body cost more than all copying of it. The thresholds that it finds
    for itself grow to twice that, but only after it has seen larger blocks.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)
        mallopt(_M_MMAP_THRESHOLD, _OWN_MAPPING_BYTES)


def settle_heap() -> None:
    """Takes what stands now for what lives for good: the collector need not walk it again and again.

    Called when a process has been set up.
    """
    gc.collect()
    gc.freeze()


async def _until_signal(settings: S, serve: Callable[[S, asyncio.Event], Awaitable[None]]) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    await serve(settings, stop)

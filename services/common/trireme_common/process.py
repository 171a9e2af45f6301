"""How a service process begins and ends: settings, logs, event loop, signals, exit code."""

from __future__ import annotations

import asyncio
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

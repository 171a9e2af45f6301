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
    # What stands after start-up lives for good; the collector need not walk it again and again.
    gc.freeze()
    try:
        uvloop.run(_until_signal(settings, serve))
    except SettingsError as error:
        print(f"trireme-{name}: {error.detail}", file=sys.stderr)
        return EXIT_USAGE
    finally:
        structlog.get_logger(name).info("stopped")
        writer.close()
    return 0


async def _until_signal(settings: S, serve: Callable[[S, asyncio.Event], Awaitable[None]]) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    await serve(settings, stop)

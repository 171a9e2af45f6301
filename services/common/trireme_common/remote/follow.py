"""A stage that follows its source: passes again and again in a thread, beside the stage's event loop."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from trireme_common.errors import SettingsError
from trireme_common.remote.cache import Cache
from trireme_common.remote.failure import SourceError, Stopped
from trireme_common.remote.metrics import MirrorMetrics
from trireme_common.remote.mirror import Mirror
from trireme_common.remote.open_source import build_mirror
from trireme_common.remote.progress import Progress, log_progress
from trireme_common.remote.telemetry import Fanout
from trireme_common.settings import ModelsSettings

logger = structlog.get_logger(__name__)
_FIRST_RETRY_SECONDS = 1.0
_LOCK_RETRY_SECONDS = 1.0


class Follower:
    """Mirrors whenever `poll_seconds` have passed; after a failure sooner, with a doubling pause.

    Of several processes with one cache directory the one that holds the lock mirrors; the others look every
    second whether it has ended. Every pause is drawn between half and the whole of its length, so that
    replicas that started together do not ask together.
    """

    def __init__(self, mirror: Mirror, cache: Cache, poll_seconds: float, stop: threading.Event) -> None:
        self._mirror = mirror
        self._cache = cache
        self._poll_seconds = poll_seconds
        self._stop = stop
        self._loop = asyncio.get_running_loop()
        self.usable = asyncio.Event()
        """Set once the cache may be served: a pass has come to its end, now or earlier."""
        self._thread = threading.Thread(target=self._run, name="models-source", daemon=True)

    def start(self) -> None:
        """Begins to follow."""
        if self._cache.filled():
            self.usable.set()
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                with self._cache.lock() as mine:
                    if mine:
                        self._follow()
            except OSError as error:
                logger.error("models_cache_unusable", reason=str(error))
            self._say_usable()
            self._stop.wait(_LOCK_RETRY_SECONDS)

    def _follow(self) -> None:
        """Passes until stopped, the lock being held."""
        failures = 0
        while not self._stop.is_set():
            try:
                failures = failures + 1 if self._pass() else 0
            except Stopped:
                return
            pause = self._poll_seconds
            if failures:
                pause = min(pause, _FIRST_RETRY_SECONDS * 2 ** min(failures - 1, 10))
            self._stop.wait(pause * random.uniform(0.5, 1.0))

    def _pass(self) -> bool:
        """Whether the pass failed."""
        try:
            passed = self._mirror.run()
        except SourceError as error:
            logger.error("models_source_failed", kind=error.kind, reason=error.detail)
            failed = True
        except Stopped:
            raise
        except Exception:  # a follower that ended would never bring another version
            logger.exception("models_source_pass_failed")
            failed = True
        else:
            failed = bool(passed.failed)
        if failed and not self.usable.is_set() and self._cache.populated():
            logger.warning("models_cache_served", reason="the source failed; what the cache holds is served")
        self._cache.mark_filled()
        self._say_usable()
        return failed

    def _say_usable(self) -> None:
        if not self.usable.is_set() and self._cache.filled() and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self.usable.set)


@contextmanager
def followed(settings: ModelsSettings) -> Iterator[asyncio.Event]:
    """Follows the settings' source until the end of the block: an event, set once there is what to serve.

    Without a source it is set at once. Raises SettingsError.
    """
    usable = asyncio.Event()
    if not settings.models_source:
        usable.set()
        yield usable
        return
    stop = threading.Event()
    telemetry = Fanout(MirrorMetrics(), Progress(log_progress))
    mirror, cache = build_mirror(settings, telemetry, stop)
    try:
        with cache.lock():
            pass
    except OSError as error:
        raise SettingsError(
            f"TRIREME_MODELS_DIR: {settings.models_dir} is the cache of TRIREME_MODELS_SOURCE, but cannot be "
            f"written: {error.strerror}"
        ) from error
    follower = Follower(mirror, cache, settings.models_source_poll_seconds, stop)
    follower.start()
    try:
        yield follower.usable
    finally:
        stop.set()

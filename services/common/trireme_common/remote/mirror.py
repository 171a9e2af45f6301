"""One pass: what the source lists becomes what the cache holds, version by version, each only when whole."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import structlog

from trireme_common.remote.cache import Cache
from trireme_common.remote.catalog import Limits, RemoteModel, read_catalog
from trireme_common.remote.download import Downloader
from trireme_common.remote.failure import Kind, SourceError
from trireme_common.remote.plan import Install, Installed, Plan, Wanted, plan
from trireme_common.remote.pool import Pool
from trireme_common.remote.source import Source
from trireme_common.remote.staging import Staged, Staging
from trireme_common.remote.telemetry import Telemetry
from trireme_common.remote.versions import wanted_versions

logger = structlog.get_logger(__name__)


@dataclass(frozen=True)
class MirrorOptions:
    """What to mirror, and how much at a time."""

    models: frozenset[str] = frozenset()
    """Only these; empty is all."""
    max_bytes: int = 0
    """Bound of the cache; 0 is none."""
    spare_versions: int = 1
    """Versions fetched beyond those that model.yaml wants, for a bad newest one to fall back on."""
    concurrency: int = 4
    """Files that are downloaded at a time."""
    limits: Limits = field(default_factory=Limits)


@dataclass
class Passed:
    """What a pass did. Names are `<model>/<version>`, or `<model>` where only shared files were meant."""

    installed: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    failed: dict[str, SourceError] = field(default_factory=dict)

    def failed_model(self, model: str) -> bool:
        """Whether anything of `model` failed."""
        return any(name.partition("/")[0] == model for name in self.failed)


class Mirror:
    """Mirrors `source` into `cache`. `stop` ends a pass with Stopped; the next one continues.

    `ordered` gives the versions that operators have put back, by model.
    """

    def __init__(
        self,
        source: Source,
        cache: Cache,
        options: MirrorOptions,
        telemetry: Telemetry,
        stop: threading.Event,
        *,
        ordered: Callable[[], Mapping[str, int]] = dict,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._ordered = ordered
        self._source = source
        self._cache = cache
        self._options = options
        self._telemetry = telemetry
        self._stop = stop
        self._now = now
        self._downloader = Downloader(source, telemetry, stop)

    def run(self) -> Passed:
        """One pass; the cache's lock must be held. Raises SourceError where the source cannot be listed.

        What concerns one model fails that model alone and is told in the result.
        """
        started = time.monotonic()
        reached = False
        try:
            installed = self._cache.load()
            catalog = self._catalog()
            reached = True
            return self._bring(catalog, installed)
        except SourceError as error:
            self._telemetry.failed(error.kind)
            raise
        except OSError as error:
            self._telemetry.failed(Kind.DISK)
            raise SourceError(Kind.DISK, f"the cache: {error}") from error
        finally:
            self._telemetry.passed(time.monotonic() - started, self._cache.size(), reached=reached)

    def _catalog(self) -> dict[str, RemoteModel]:
        listed = read_catalog(self._source.list_files(), self._options.limits)
        if not listed:
            raise SourceError(Kind.REFUSED, "the source lists no model; what the cache holds is kept")
        missing = self._options.models - listed.keys()
        if missing:
            raise SourceError(Kind.REFUSED, f"the source has no model {', '.join(sorted(missing))}")
        only = self._options.models or listed.keys()
        return {name: model for name, model in listed.items() if name in only}

    def _bring(self, catalog: Mapping[str, RemoteModel], installed: Installed) -> Passed:
        pool = Pool(self._options.concurrency)
        staging = Staging(self._cache, self._downloader, self._telemetry, pool)
        try:
            pass_ = _Pass(self._cache, self._telemetry, staging, catalog, installed)
            wanted = pass_.read_specs(self._options.spare_versions, self._ordered())
            self._cache.touch(
                ((name, number) for name in wanted for number in wanted[name].needed), self._now()
            )
            pass_.carry_out(plan(catalog, installed, wanted, self._options.max_bytes))
            return pass_.passed
        finally:
            pool.close(wait=not self._stop.is_set())


class _Pass:
    """The steps of one pass, after the listing."""

    def __init__(
        self,
        cache: Cache,
        telemetry: Telemetry,
        staging: Staging,
        catalog: Mapping[str, RemoteModel],
        installed: Installed,
    ) -> None:
        self._cache = cache
        self._telemetry = telemetry
        self._staging = staging
        self._catalog = catalog
        self._shared = {
            name: staging.begin(name, [file for file in model.shared if not installed.holds([file])])
            for name, model in catalog.items()
        }
        self.passed = Passed()

    def read_specs(self, spare_versions: int, ordered: Mapping[str, int]) -> dict[str, Wanted]:
        """Waits for the shared files of every model: model.yaml says which versions are wanted."""
        wanted = {}
        for name, model in self._catalog.items():
            try:
                self._shared[name].wait()
            except SourceError as error:
                self._fail(name, error)
            else:
                find = partial(self._shared_path, name)
                wanted[name] = wanted_versions(model, find, spare_versions, ordered.get(name))
        return wanted

    def carry_out(self, todo: Plan) -> None:
        """Drops for room, brings and installs in order, then removes what the source no longer has."""
        specs_read = not self.passed.failed
        for key in todo.evictions:
            self._cache.remove(key)
            logger.info("model_evicted", model=key[0], version=key[1])
        for model, version in todo.too_large:
            reason = (
                f"{model}/{version} does not fit into the cache beside what is in use; give it more bytes"
            )
            self._fail(f"{model}/{version}", SourceError(Kind.CACHE_FULL, reason))
        installs = [install for install in todo.installs if install.model not in self.passed.failed]
        begun = [(install, self._staging.begin(_place(install), install.files)) for install in installs]
        if specs_read:  # else what was begun for a model that failed just now would be lost
            self._staging.prune()
        for install, staged in begun:
            self._install(install, staged)
        self._remove(todo)
        self._cache.save()
        self._cache.mark_filled()

    def _install(self, install: Install, staged: Staged) -> None:
        place = _place(install)
        try:
            staged.wait()
            shared = self._shared[install.model].files
            self._cache.install(install, staged.directory, shared)
        except SourceError as error:
            self._fail(place, error)
        else:
            self._shared[install.model] = Staged(staged.directory, {}, ())
            self.passed.installed.append(place)
            logger.info("model_mirrored", model=install.model, version=install.version, bytes=install.size)

    def _remove(self, todo: Plan) -> None:
        for key in todo.removals:
            if not self.passed.failed_model(key[0]):
                self._cache.remove(key)
                self.passed.removed.append(f"{key[0]}/{key[1]}")
                logger.info("model_removed", model=key[0], version=key[1])
        for path in todo.removed_files:
            if not self.passed.failed_model(path.partition("/")[0]):
                self._cache.remove_file(path)

    def _shared_path(self, model: str, name: str) -> Path:
        """A shared file as this pass brings it, or as the cache has it."""
        for file, path in self._shared[model].files.items():
            if file.path == f"{model}/{name}":
                return path
        return self._cache.directory / model / name

    def _fail(self, place: str, error: SourceError) -> None:
        self.passed.failed[place] = error
        self._telemetry.failed(error.kind)
        logger.error("model_not_mirrored", place=place, kind=error.kind, reason=error.detail)


def _place(install: Install) -> str:
    return install.model if install.version is None else f"{install.model}/{install.version}"

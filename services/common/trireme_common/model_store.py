"""The versions that a stage has loaded, kept in step with the repository while requests run.

A version is loaded beside what serves now, becomes READY only when its load succeeded, and
displaces an older one only then; a version that fails leaves the good one and shows its reason.
What is displaced goes on serving as UNLOADING for a while, because a request keeps the version it
was given at the gateway, and is closed afterwards.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Generic, Protocol, TypeVar

import structlog

from trireme_common.errors import Code, SpecError, TriremeError
from trireme_common.model_spec import ModelSpec
from trireme_common.repository import Scan, SpecReader, VersionFiles, scan
from trireme_common.stage_state import ModelDescriptor, ModelVersion, StageState, State

logger = structlog.get_logger(__name__)


class Servable(Protocol):
    """A loaded version: what a stage runs, and what it says of it.

    A servable may have `notes` (str): what of the spec is not honoured although it serves. They are
    published as the reason of the READY version.
    """

    @property
    def descriptor(self) -> ModelDescriptor: ...

    async def close(self) -> None:
        """Finishes what is queued and frees everything."""


T = TypeVar("T", bound=Servable)
Key = tuple[str, int]


@dataclass
class _Entry(Generic[T]):
    files: VersionFiles
    state: State
    reason: str = ""
    servable: T | None = None


def latest_policy(spec: ModelSpec, versions: list[int]) -> tuple[list[int], int]:
    """Candidates from the most wanted on, and how many of them are to be READY, as `versions` says."""
    descending = sorted(versions, reverse=True)
    if spec.versions.policy == "specific":
        chosen = [version for version in descending if version in spec.versions.list]
        return chosen, len(chosen)
    return descending, spec.versions.count if spec.versions.policy == "latest" else len(descending)


def every_version(spec: ModelSpec, versions: list[int]) -> tuple[list[int], int]:
    """All versions on disk: stages whose versions cost little keep whatever inference may choose."""
    return sorted(versions, reverse=True), len(versions)


class ModelStore(Generic[T]):
    """Loads, swaps and retires versions. `load` runs in a thread and raises SpecError to refuse."""

    def __init__(
        self,
        models_dir: Path,
        load: Callable[[VersionFiles], T],
        *,
        policy: Callable[[ModelSpec, list[int]], tuple[list[int], int]] = latest_policy,
        linger_seconds: float = 10.0,
        device: str = "",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._models_dir = models_dir
        self._specs = SpecReader()
        self._load = load
        self._policy = policy
        self._linger_seconds = linger_seconds
        self._clock = clock
        self._entries: dict[Key, _Entry[T]] = {}
        self._serving: dict[tuple[str, str], T] = {}
        self._broken: tuple[tuple[str, str], ...] = ()
        self._retired: list[tuple[float, Key | None, T]] = []
        self._seen: dict[Key, str] = {}
        self._listeners: set[Callable[[StageState], None]] = set()
        self._state = StageState(device=device)
        self.loaded_once = asyncio.Event()
        """Set after the first look at the repository: everything usable is loaded."""

    @property
    def state(self) -> StageState:
        return self._state

    def get(self, name: str, version: str) -> T:
        """The servable of a version. Raises TriremeError(MODEL_NOT_FOUND or MODEL_NOT_READY)."""
        servable = self._serving.get((name, version))
        if servable is not None:
            return servable
        if any(key[0] == name for key in self._serving):
            raise TriremeError(Code.MODEL_NOT_FOUND, f"model '{name}' has no version '{version}' here")
        if any(key[0] == name for key in self._entries):
            raise TriremeError(Code.MODEL_NOT_READY, f"model '{name}' is not ready")
        raise TriremeError(Code.MODEL_NOT_FOUND, f"unknown model '{name}'")

    def servables(self) -> Iterable[T]:
        return self._serving.values()

    def subscribe(self, listener: Callable[[StageState], None]) -> Callable[[], None]:
        """Calls `listener` with the state at every change, until the returned function is called."""
        self._listeners.add(listener)
        return lambda: self._listeners.discard(listener)

    def drain(self) -> None:
        """Tells every gateway that this endpoint is about to leave."""
        self._publish(draining=True)

    async def watch(self, poll_seconds: float) -> None:
        """Keeps the store in step with the repository until cancelled."""
        first = True
        while True:
            try:
                await self.refresh(settled_only=not first)
                first = False
            except (SpecError, OSError) as error:
                # The directory may be remounted or replaced; what is loaded goes on serving.
                logger.error("repository_unreadable", reason=str(error))
            except Exception:  # a watch that ended would never show another version
                logger.exception("repository_watch_failed")
            self.loaded_once.set()
            await asyncio.sleep(poll_seconds)

    async def refresh(self, *, settled_only: bool = False) -> None:
        """One look at the repository: load what is new, retire what is gone or displaced.

        `settled_only` leaves a version alone until two looks in a row found the same files, so that
        one that is still being copied is not loaded half.
        """
        found = await asyncio.to_thread(scan, self._models_dir, self._specs)
        settled = {
            (files.spec.name, files.version)
            for files in found.versions
            if not settled_only or self._seen.get((files.spec.name, files.version)) == files.signature
        }
        self._seen = {(files.spec.name, files.version): files.signature for files in found.versions}
        self._broken = found.broken
        by_name: dict[str, list[VersionFiles]] = {}
        for files in found.versions:
            by_name.setdefault(files.spec.name, []).append(files)
        self._forget_missing(found)
        self._announce(found, settled)
        for versions in by_name.values():
            await self._bring_up(versions, settled)
        await self._close_retired()
        self._publish()

    def _announce(self, found: Scan, settled: set[Key]) -> None:
        """Shows as LOADING what is about to be loaded for the first time."""
        for files in found.versions:
            key = (files.spec.name, files.version)
            if key not in self._entries and key in settled and self._wanted(files.spec, found, key):
                self._entries[key] = _Entry(files, State.LOADING)
        self._publish()

    def _wanted(self, spec: ModelSpec, found: Scan, key: Key) -> bool:
        numbers = [files.version for files in found.versions if files.spec.name == spec.name]
        candidates, count = self._policy(spec, numbers)
        return key[1] in candidates[:count]

    async def _bring_up(self, versions: list[VersionFiles], settled: set[Key]) -> None:
        by_number = {files.version: files for files in versions}
        spec = versions[0].spec
        candidates, count = self._policy(spec, list(by_number))
        good: list[Key] = []
        for number in candidates:
            if len(good) == count:
                break
            key = (spec.name, number)
            if key in settled:
                await self._load_if_changed(by_number[number])
            entry = self._entries.get(key)
            if entry is not None and entry.servable is not None:
                good.append(key)
                if entry.state is State.UNLOADING:
                    self._revive(key, entry)
        for key in [key for key in self._entries if key[0] == spec.name and key not in good]:
            self._displace(key, keep_failed=key[1] in candidates)

    async def _load_if_changed(self, files: VersionFiles) -> None:
        key = (files.spec.name, files.version)
        entry = self._entries.get(key)
        if (
            entry is not None
            and entry.files.signature == files.signature
            and entry.state is not State.LOADING
        ):
            return
        previous = entry.servable if entry is not None else None
        started = self._clock()
        try:
            servable = await asyncio.to_thread(self._load, files)
        except (
            Exception
        ) as error:  # a foreign file can make a library raise anything; this version alone fails
            reason = error.detail if isinstance(error, TriremeError) else f"{type(error).__name__}: {error}"
            logger.error("model_load_failed", model=key[0], version=key[1], reason=reason)
            state = State.UNAVAILABLE if entry is None or previous is None else entry.state
            self._entries[key] = _Entry(files, state, reason, previous)
        else:
            seconds = round(self._clock() - started, 3)
            logger.info("model_loaded", model=key[0], version=key[1], seconds=seconds)
            self._entries[key] = _Entry(files, State.READY, getattr(servable, "notes", ""), servable)
            self._serving[(key[0], str(key[1]))] = servable
            if previous is not None:
                self._retired = [retired for retired in self._retired if retired[1] != key]
                self._retired.append((self._clock() + self._linger_seconds, None, previous))
        self._publish()

    def _revive(self, key: Key, entry: _Entry[T]) -> None:
        entry.state = State.READY
        self._retired = [retired for retired in self._retired if retired[1] != key]

    def _displace(self, key: Key, *, keep_failed: bool) -> None:
        entry = self._entries[key]
        if entry.servable is None:
            if not keep_failed:
                del self._entries[key]
        elif entry.state is not State.UNLOADING:
            entry.state = State.UNLOADING
            self._retired.append((self._clock() + self._linger_seconds, key, entry.servable))

    def _forget_missing(self, found: Scan) -> None:
        """Retires versions that left the disk; a model whose model.yaml broke keeps what it serves."""
        broken = {name for name, _ in found.broken}
        for key in [key for key in self._entries if key not in self._seen and key[0] not in broken]:
            self._displace(key, keep_failed=False)

    async def _close_retired(self) -> None:
        now = self._clock()
        due = [retired for retired in self._retired if retired[0] <= now]
        self._retired = [retired for retired in self._retired if retired[0] > now]
        for _, key, servable in due:
            if key is not None:
                self._entries.pop(key, None)
                self._serving.pop((key[0], str(key[1])), None)
                logger.info("model_unloaded", model=key[0], version=key[1])
                self._publish()  # gateways turn away before it is closed
            try:
                await servable.close()
            except Exception:  # one that cannot be freed must not keep others from being loaded
                logger.exception("model_close_failed")

    async def close(self) -> None:
        """Closes every servable, the retired ones included."""
        servables = {id(servable): servable for servable in self._serving.values()}
        servables.update({id(servable): servable for _, _, servable in self._retired})
        self._serving.clear()
        self._retired.clear()
        for servable in servables.values():
            with contextlib.suppress(Exception):
                await servable.close()

    def _told(self, reason: str) -> str:
        """A reason as strangers may read it: where the repository lies is not their business."""
        return reason.replace(f"{self._models_dir}/", "").replace(f"{self._models_dir.resolve()}/", "")

    def _publish(self, *, draining: bool | None = None) -> None:
        models = [
            ModelVersion(
                key[0],
                str(key[1]),
                entry.state,
                self._told(entry.reason),
                entry.servable.descriptor if entry.servable is not None else None,
            )
            for key, entry in sorted(self._entries.items())
        ]
        models.extend(
            ModelVersion(name, "", State.UNAVAILABLE, self._told(reason)) for name, reason in self._broken
        )
        draining = self._state.draining if draining is None else draining
        state = replace(self._state, models=tuple(models), draining=draining)
        if state != self._state:
            self._state = state
            for listener in tuple(self._listeners):
                listener(state)

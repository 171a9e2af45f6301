"""What a stage knows of every version: its state, its servable, and what of it is still to be closed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic

import structlog

from trireme_common.errors import Code, MachineError, SpecError, TriremeError
from trireme_common.memory import NoRoomError, Shortage
from trireme_common.repository import VersionFiles
from trireme_common.shelf import Key, T
from trireme_common.stage_state import ModelDescriptor, ModelVersion, State

logger = structlog.get_logger(__name__)


@dataclass(eq=False)
class Entry(Generic[T]):
    """One version. With a descriptor it can be asked for; without a servable it is not in memory."""

    files: VersionFiles
    state: State
    reason: str = ""
    servable: T | None = None
    descriptor: ModelDescriptor | None = None
    untried: bool = False
    weights: str = ""
    """Those of what is in memory, as `VersionFiles.weights`."""
    refuted: bool = False
    """Whether what is in memory is refused by the files that stand there now: it was loaded before they were
    whole, or is declared otherwise since."""
    last: bool = False
    """Whether what is in memory cannot be had again: other files stand there now, and could not be loaded."""
    shortage: Shortage | None = None
    """What it lacked, where it was refused for want of room."""
    crowded: Shortage | None = None
    """What it lacked when it was asked for, where there was no room then; `reason` says so."""

    @property
    def key(self) -> Key:
        return self.files.spec.name, self.files.version

    def tried(self, files: VersionFiles) -> bool:
        """Whether these same files were loaded, or refused."""
        return not self.untried and self.files.signature == files.signature

    @property
    def resting(self) -> bool:
        """Whether what is in memory may be asked to leave it."""
        return self.state is State.READY and not self.last

    def takes(self, servable: T) -> None:
        """It is in memory now, as its files are."""
        self.servable = servable
        self.refuted = self.last = False
        self.shortage = self.crowded = None
        self.weights = self.files.weights
        self.descriptor = servable.descriptor
        self.reason = getattr(servable, "notes", "")


@dataclass(eq=False)
class _Retired(Generic[T]):
    """To be closed when it is due: a version, or a servable that another one of its version replaced."""

    due: float
    key: Key
    replaced: T | None


@dataclass(eq=False)
class Entries(Generic[T]):
    """`clock`: seconds. What is displaced or replaced lingers for `linger_seconds`."""

    models_dir: Path
    linger_seconds: float
    clock: Callable[[], float]
    serving: dict[tuple[str, str], T] = field(default_factory=dict)
    """What is in memory, as it is asked for."""
    _entries: dict[Key, Entry[T]] = field(default_factory=dict)
    _retired: list[_Retired[T]] = field(default_factory=list)

    def get(self, key: Key) -> Entry[T] | None:
        return self._entries.get(key)

    def find(self, name: str, version: str) -> Entry[T] | None:
        """The entry of a version as callers write it."""
        return self._entries.get((name, int(version))) if version.isdecimal() else None

    def known(self) -> list[Key]:
        return list(self._entries)

    def of(self, name: str) -> list[Key]:
        """Keys of one model."""
        return [key for key in self._entries if key[0] == name]

    def has_good(self, name: str) -> bool:
        """Whether any version of the model can be asked for."""
        return any(self._entries[key].descriptor is not None for key in self.of(name))

    def refuted(self, key: Key) -> bool:
        """Whether a version is in memory, and known to be bad by now."""
        entry = self._entries.get(key)
        return entry is not None and entry.refuted

    def announce(self, files: VersionFiles) -> None:
        """It is about to be loaded for the first time."""
        entry: Entry[T] = Entry(files, State.LOADING, untried=True)
        self._entries.setdefault(entry.key, entry)

    def ready(self, files: VersionFiles, servable: T | None, described: ModelDescriptor | None) -> None:
        """It was loaded, or described. What served under its name until now lingers."""
        entry: Entry[T] = Entry(files, State.READY, descriptor=described)
        before = self._entries.get(entry.key)
        self._keep(entry.key)
        if before is not None and before.servable is not None:
            self._retired.append(_Retired(self.clock() + self.linger_seconds, entry.key, before.servable))
        self._entries[entry.key] = entry
        if servable is not None:
            entry.takes(servable)
            self.serving[_asked(entry.key)] = servable

    def failed(self, files: VersionFiles, error: Exception) -> Entry[T]:
        """It could not be loaded; what serves under its name goes on, and is refuted where it has the same
        weights. Unless it only found no room, it is not asked to leave until its files are good again."""
        reason = error.detail if isinstance(error, TriremeError) else f"{type(error).__name__}: {error}"
        shortage = error.shortage if isinstance(error, NoRoomError) else None
        entry: Entry[T] = Entry(files, State.UNAVAILABLE, reason, shortage=shortage)
        before = self._entries.get(entry.key)
        if before is not None and before.servable is not None:
            entry.state, entry.servable, entry.descriptor = before.state, before.servable, before.descriptor
            entry.weights, before.servable = before.weights, None
            refused = isinstance(error, SpecError) and not isinstance(error, MachineError)
            entry.refuted = before.refuted or (refused and files.weights == before.weights)
            entry.last = before.last or shortage is None
        self._entries[entry.key] = entry
        if before is None or before.reason != reason:
            logger.error("model_load_failed", model=entry.key[0], version=entry.key[1], reason=reason)
        return entry

    def forget_failures(self, name: str) -> None:
        """Makes the next look try again what failed."""
        for key in self.of(name):
            entry = self._entries[key]
            entry.untried, entry.crowded = entry.untried or entry.last, None
            if entry.descriptor is None:
                del self._entries[key]

    def woken(self, entry: Entry[T], servable: T) -> bool:
        """It was loaded because it was asked for; False where it is not what it was any more."""
        if (
            self._entries.get(entry.key) is not entry
            or entry.descriptor is None
            or entry.servable is not None
        ):
            return False
        entry.takes(servable)
        self.serving[_asked(entry.key)] = servable
        return True

    def crowded_out(self, entry: Entry[T], error: NoRoomError) -> None:
        """There was no room for it when it was asked for; it can be asked for again, and says why not now."""
        if entry.reason != error.detail:
            logger.warning("model_crowded_out", model=entry.key[0], version=entry.key[1], reason=error.detail)
        entry.reason, entry.crowded = error.detail, error.shortage

    def hide(self, key: Key, servable: T) -> None:
        """It leaves memory and can still be asked for, unless another one serves under its name by now."""
        entry = self._entries.get(key)
        if entry is not None and entry.servable is servable:
            entry.servable = None
            del self.serving[_asked(key)]

    def revive(self, entry: Entry[T]) -> None:
        """It was displaced and is wanted again."""
        entry.state = State.READY
        self._keep(entry.key)

    def displace(self, key: Key, *, keep_failed: bool) -> Entry[T] | None:
        """It is not wanted any more: it lingers, and is returned, or goes if nobody can ask for it."""
        entry = self._entries[key]
        if entry.descriptor is None:
            if not keep_failed:
                del self._entries[key]
        elif entry.state is not State.UNLOADING:
            entry.state = State.UNLOADING
            self._retired.append(_Retired(self.clock() + self.linger_seconds, key, None))
            return entry
        return None

    def take_due(self) -> list[T]:
        """Servables whose time is over, found by nobody from now on."""
        now = self.clock()
        due = [retired for retired in self._retired if retired.due <= now]
        self._retired = [retired for retired in self._retired if retired.due > now]
        servables = [retired.replaced or self._drop(retired.key) for retired in due]
        return [servable for servable in servables if servable is not None]

    def take_all(self) -> list[T]:
        """Every servable there is, found by nobody from now on."""
        replaced = [retired.replaced for retired in self._retired if retired.replaced is not None]
        servables = [*self.serving.values(), *replaced]
        self.serving.clear()
        self._retired.clear()
        return servables

    def _drop(self, key: Key) -> T | None:
        entry = self._entries.pop(key, None)
        logger.info("model_unloaded", model=key[0], version=key[1])
        return None if entry is None else self.serving.pop(_asked(key), None)

    def _keep(self, key: Key) -> None:
        """The version as a whole is not to be closed; what it replaced is."""
        self._retired = [
            retired for retired in self._retired if retired.key != key or retired.replaced is not None
        ]

    def refusal(self, name: str, version: str) -> TriremeError:
        """Why a version cannot be asked for."""
        if self.has_good(name):
            return TriremeError(Code.MODEL_NOT_FOUND, f"model '{name}' has no version '{version}' here")
        if self.of(name):
            return TriremeError(Code.MODEL_NOT_READY, f"model '{name}' is not ready")
        return TriremeError(Code.MODEL_NOT_FOUND, f"unknown model '{name}'")

    def versions(self, broken: Iterable[tuple[str, str]]) -> tuple[ModelVersion, ...]:
        """What is to be published; `broken` are models that cannot be read as a whole, with the reason."""
        known = [
            ModelVersion(key[0], str(key[1]), entry.state, self._told(entry.reason), entry.descriptor)
            for key, entry in sorted(self._entries.items())
        ]
        return (*known, *(ModelVersion(name, "", State.UNAVAILABLE, self._told(why)) for name, why in broken))

    def _told(self, reason: str) -> str:
        """A reason as strangers may read it: where the repository lies is not their business."""
        return reason.replace(f"{self.models_dir}/", "").replace(f"{self.models_dir.resolve()}/", "")


def _asked(key: Key) -> tuple[str, str]:
    return key[0], str(key[1])

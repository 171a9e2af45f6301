"""What one pass is to do: a pure function of the listing, of what is installed, and of what is wanted.

A version is *needed* when model.yaml's policy chooses it or an operator has put it back, and a *spare* when
it is the next older one, to fall back on where the newest turns out bad. Needed versions, spares, and the
newest installed version of a model are in use and never dropped for room; of the others the least recently
needed goes first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from trireme_common.remote.catalog import RemoteModel, version_of
from trireme_common.remote.source import RemoteFile

VersionKey = tuple[str, int]


@dataclass(frozen=True)
class InstalledFile:
    """A file of the cache that came from the source and stands there unchanged."""

    identity: str
    size: int


@dataclass(frozen=True)
class Installed:
    """The cache as it is."""

    files: Mapping[str, InstalledFile] = field(default_factory=dict)
    """By relative path."""
    used: Mapping[VersionKey, float] = field(default_factory=dict)
    """When a version was last needed; any clock whose numbers grow."""

    def versions(self) -> dict[VersionKey, int]:
        """Bytes of every version of which at least one file stands."""
        sizes: dict[VersionKey, int] = {}
        for path, file in self.files.items():
            version = version_of(path)
            if version is not None:
                key = (path.partition("/")[0], version)
                sizes[key] = sizes.get(key, 0) + file.size
        return sizes

    def holds(self, files: Sequence[RemoteFile]) -> bool:
        """Whether all of `files` stand here as they are listed."""
        return all(self.files.get(file.path) == InstalledFile(file.identity, file.size) for file in files)


@dataclass(frozen=True)
class Wanted:
    """Versions of a model, the most wanted first."""

    needed: tuple[int, ...]
    spares: tuple[int, ...] = ()


@dataclass(frozen=True)
class Install:
    """A version to be made whole beside what serves, and then moved into place."""

    model: str
    version: int | None
    """None where only files that all versions share have changed."""
    files: tuple[RemoteFile, ...] = ()
    """All files of the version."""

    @property
    def size(self) -> int:
        return sum(file.size for file in self.files)


@dataclass(frozen=True)
class Plan:
    """Evictions come first, then installs in order, then removals."""

    installs: tuple[Install, ...] = ()
    evictions: tuple[VersionKey, ...] = ()
    removals: tuple[VersionKey, ...] = ()
    """Versions that the source no longer has."""
    removed_files: tuple[str, ...] = ()
    """Shared files that the source no longer has."""
    too_large: tuple[VersionKey, ...] = ()
    """Needed versions that do not fit into the cache beside what is in use."""


def plan(
    catalog: Mapping[str, RemoteModel], installed: Installed, wanted: Mapping[str, Wanted], max_bytes: int
) -> Plan:
    """The plan of a pass; `max_bytes` 0 is no bound.

    What a model loses waits until the pass after the one that installs something of the same model, so that
    stages have loaded the new version before the old one goes. A version that changed counts twice, because
    its old files stand until the new ones are whole.
    """
    sizes = installed.versions()
    room = _Room(catalog, installed, wanted, sizes, max_bytes)
    installs = [*_shared_changes(catalog, installed), *room.fit(_candidates(catalog, installed, wanted))]
    room.shrink()
    changing = {install.model for install in installs}
    gone = {key for key in sizes if not _listed(catalog, key)}
    return Plan(
        installs=_without_covered(installs),
        evictions=tuple(room.evicted),
        removals=tuple(sorted(key for key in gone if key[0] not in changing)),
        removed_files=_removed_files(catalog, installed, changing),
        too_large=tuple(room.too_large),
    )


def _listed(catalog: Mapping[str, RemoteModel], key: VersionKey) -> bool:
    return key[0] in catalog and key[1] in catalog[key[0]].versions


def _candidates(
    catalog: Mapping[str, RemoteModel], installed: Installed, wanted: Mapping[str, Wanted]
) -> list[tuple[Install, bool]]:
    """What is not here yet and whether it is needed: every model's first, then every model's second ..."""
    ranked: list[tuple[bool, int, str, int]] = []
    for name, want in wanted.items():
        for spare, versions in ((False, want.needed), (True, want.spares)):
            ranked.extend((spare, rank, name, version) for rank, version in enumerate(versions))
    found = []
    for spare, _, name, version in sorted(ranked):
        files = catalog[name].versions[version]
        if not installed.holds(files) or _has_extra(installed, name, version, files):
            found.append((Install(name, version, files), not spare))
    return found


def _has_extra(installed: Installed, name: str, version: int, files: Sequence[RemoteFile]) -> bool:
    """Whether the installed version holds files that the source has removed from it."""
    prefix = f"{name}/{version}/"
    listed = {file.path for file in files}
    return any(path.startswith(prefix) and path not in listed for path in installed.files)


def _shared_changes(catalog: Mapping[str, RemoteModel], installed: Installed) -> list[Install]:
    """Models that are here and whose shared files differ."""
    present = {key[0] for key in installed.versions()}
    return [
        Install(name, None)
        for name, model in sorted(catalog.items())
        if name in present and not installed.holds(model.shared)
    ]


def _without_covered(installs: Sequence[Install]) -> tuple[Install, ...]:
    """A version's install brings the shared files along: they are not moved twice."""
    versioned = {install.model for install in installs if install.version is not None}
    return tuple(
        install for install in installs if install.version is not None or install.model not in versioned
    )


def _removed_files(
    catalog: Mapping[str, RemoteModel], installed: Installed, changing: set[str]
) -> tuple[str, ...]:
    listed = {file.path for model in catalog.values() for file in model.shared}
    return tuple(
        path
        for path in sorted(installed.files)
        if version_of(path) is None and path not in listed and path.partition("/")[0] not in changing
    )


class _Room:
    """Keeps account of the cache's bytes while versions are fitted in."""

    def __init__(
        self,
        catalog: Mapping[str, RemoteModel],
        installed: Installed,
        wanted: Mapping[str, Wanted],
        sizes: Mapping[VersionKey, int],
        max_bytes: int,
    ) -> None:
        shared = {file.path: file.size for model in catalog.values() for file in model.shared}
        self._used = sum(sizes.values()) + sum(shared.values())
        self._max_bytes = max_bytes
        self._sizes = sizes
        newest: dict[str, int] = {}
        for name, version in sizes:
            newest[name] = max(version, newest.get(name, version))
        in_use = {
            (name, version) for name, want in wanted.items() for version in (*want.needed, *want.spares)
        }
        in_use.update(newest.items())
        self._droppable = sorted(
            (key for key in sizes if key not in in_use and _listed(catalog, key)),
            key=lambda key: (installed.used.get(key, 0.0), key),
        )
        self.evicted: list[VersionKey] = []
        self.too_large: list[VersionKey] = []

    def fit(self, candidates: Sequence[tuple[Install, bool]]) -> list[Install]:
        """Those that fit, others having been dropped for them where that helps."""
        fitting = []
        for install, needed in candidates:
            if self._make_room(install.size):
                self._used += install.size
                fitting.append(install)
            elif needed and install.version is not None:
                self.too_large.append((install.model, install.version))
        return fitting

    def shrink(self) -> None:
        """Drops what is not in use while the cache is over its bound."""
        self._make_room(0, partly=True)

    def _make_room(self, size: int, *, partly: bool = False) -> bool:
        if not self._max_bytes:
            return True
        droppable = sum(self._sizes[key] for key in self._droppable)
        if not partly and self._used - droppable + size > self._max_bytes:
            return False
        while self._droppable and self._used + size > self._max_bytes:
            key = self._droppable.pop(0)
            self.evicted.append(key)
            self._used -= self._sizes[key]
        return True

"""The port through which a mirror tells how it is getting on."""

from __future__ import annotations

from typing import Protocol

from trireme_common.remote.failure import Kind


class Telemetry(Protocol):
    """All methods may be called from any thread."""

    def planned(self, files: int, size: int) -> None:
        """A pass has so many files with so many bytes to bring."""

    def received(self, size: int) -> None:
        """Bytes came over the network."""

    def reused(self, size: int) -> None:
        """Bytes that an earlier attempt, or another version, had brought already."""

    def finished_file(self) -> None:
        """A file is whole and verified."""

    def failed(self, kind: Kind) -> None:
        """Something was not mirrored."""

    def passed(self, seconds: float, cache_bytes: int, *, reached: bool) -> None:
        """A pass has ended; `reached` says whether the source was listed."""


class Fanout:
    """Tells several listeners."""

    def __init__(self, *listeners: Telemetry) -> None:
        self._listeners = listeners

    def planned(self, files: int, size: int) -> None:
        for listener in self._listeners:
            listener.planned(files, size)

    def received(self, size: int) -> None:
        for listener in self._listeners:
            listener.received(size)

    def reused(self, size: int) -> None:
        for listener in self._listeners:
            listener.reused(size)

    def finished_file(self) -> None:
        for listener in self._listeners:
            listener.finished_file()

    def failed(self, kind: Kind) -> None:
        for listener in self._listeners:
            listener.failed(kind)

    def passed(self, seconds: float, cache_bytes: int, *, reached: bool) -> None:
        for listener in self._listeners:
            listener.passed(seconds, cache_bytes, reached=reached)

"""What loaded versions take, by device, in bytes: what their own processes hold, and what memory that they
share with others grew by while they were loaded."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager

from trireme_common.memory import HOST
from trireme_common.repository import VersionFiles
from trireme_common.shelf import Needs, footprint

# Nobody tells what a model in threads took, and what the service grew by meanwhile may be the traffic's.
# It is believed up to this: copies that a runtime makes of the weights, and what first runs take.
_MOST_WEIGHTS = 3
_MOST_BESIDE_BYTES = 64 << 20

Used = Callable[[str], int | None]
"""Bytes taken of a device now, HOST being this process; None where nobody tells."""


class HeldMemory:
    """Used from the threads that load."""

    def __init__(self, used: Used) -> None:
        self._growths = _Growths(used)
        self._last: dict[tuple[str, int], tuple[str, int]] = {}
        """Bytes that the processes of a version held when it was loaded last, and its signature then."""

    def needs(self, files: VersionFiles, device: str) -> Needs:
        """What loading a version takes of this machine's memory, by its files or as it was the last time.
        One on a GPU has its weights there, so nothing is known of it before the first time."""
        signature, last = self._last.get(_key(files), ("", 0))
        expected = last if signature == files.signature else 0
        if device != HOST:
            return Needs(expected, alone=True)
        return Needs(max(expected, footprint(files)))

    @contextmanager
    def growth(self, devices: Collection[str]) -> Iterator[dict[str, int]]:
        """What is taken of each of `devices` while the context lasts; filled in when it ends. Of a time in
        which several contexts last, each is given the same share."""
        grown: dict[str, int] = {}
        with ExitStack() as stack:
            for device in devices:
                stack.enter_context(self._growths.of(device, grown))
            yield grown

    def held(
        self, files: VersionFiles, gpus: Collection[str], grown: Mapping[str, int], private: int | None
    ) -> dict[str, int]:
        """Bytes by device of a version that was loaded now and stands on `gpus`. `private`: what its
        processes share with nobody; None where it runs in threads of this one: then what this one grew by,
        but no more than a model of that size may well have taken."""
        weights = footprint(files)
        if private is not None:
            self._last[_key(files)] = files.signature, private
        host = private
        if host is None:
            host = min(max(grown.get(HOST, 0), 0), _MOST_WEIGHTS * weights + _MOST_BESIDE_BYTES)
        held = {HOST: host if gpus else max(host, weights)}
        return held | {gpu: max(grown.get(gpu, 0), weights) for gpu in gpus}


class _Growths:
    """Shares of what was taken of devices while something was loaded."""

    def __init__(self, used: Used) -> None:
        self._used = used
        self._lock = threading.Lock()
        self._before: dict[str, int] = {}
        self._shares: dict[str, dict[object, float]] = {}

    @contextmanager
    def of(self, device: str, grown: dict[str, int]) -> Iterator[None]:
        mine = object()
        with self._lock:
            self._share_out(device)
            self._shares.setdefault(device, {})[mine] = 0
        try:
            yield
        finally:
            with self._lock:
                self._share_out(device)
                grown[device] = round(self._shares[device].pop(mine))

    def _share_out(self, device: str) -> None:
        """Gives what came since the last time to those that were loading. A reading that fails is left out;
        where nobody was loading the one before it says nothing of those that come now."""
        shares, now = self._shares.get(device, {}), self._used(device)
        if now is None:
            if not shares:
                self._before.pop(device, None)
            return
        before = self._before.get(device, now)
        self._before[device] = now
        for loading in shares:
            shares[loading] += (now - before) / len(shares)


def _key(files: VersionFiles) -> tuple[str, int]:
    return files.spec.name, files.version

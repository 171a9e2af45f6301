"""The files of shared memory: /dev/shm, where Linux keeps what shm_open makes.

Nothing is mapped. A caller who truncates an object that a process has mapped ends that process with
SIGBUS at the next access; pread and pwrite answer the same with fewer bytes.
"""

from __future__ import annotations

import os
import stat
from dataclasses import replace
from pathlib import Path

from trireme_common.errors import Code, TriremeError
from trireme_gateway.extensions.regions import Region, file_name_of
from trireme_gateway.v2.shared_memory import Place

DIRECTORY = Path("/dev/shm")
# No link is followed out of the directory, and no pipe is waited for.
_FLAGS = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


class OpenRegion:
    """A region whose memory this process has open; closed when nobody uses it any more."""

    def __init__(self, region: Region, descriptor: int) -> None:
        self.region = region
        self._descriptor = descriptor

    def __del__(self) -> None:
        os.close(self._descriptor)

    def check(self, place: Place) -> None:
        """Raises TriremeError(INVALID_ARGUMENT) for a place that is not inside the region."""
        if place.offset >= self.region.byte_size and place.offset + place.byte_size > 0:
            raise _invalid(f"Invalid offset for shared memory region: '{place.region}'")
        if place.offset + place.byte_size > self.region.byte_size:
            raise _invalid(f"Invalid offset + byte size for shared memory region: '{place.region}'")

    def read(self, place: Place) -> bytes:
        """Raises TriremeError(INVALID_ARGUMENT) where the object has become too small."""
        self.check(place)
        data = os.pread(self._descriptor, place.byte_size, self.region.offset + place.offset)
        if len(data) != place.byte_size:
            raise _shrunk(place)
        return data

    def write(self, place: Place, data: bytes) -> None:
        """As `read`. Nothing is written to an object that has become too small, which would grow by it."""
        self.check(place)
        start = self.region.offset + place.offset
        if os.fstat(self._descriptor).st_size < start + len(data):
            raise _shrunk(place)
        view = memoryview(data)
        try:
            while view:
                written = os.pwrite(self._descriptor, view, start)
                start, view = start + written, view[written:]
        except OSError as error:
            raise _invalid(
                f"shared memory region '{place.region}' cannot be written: {error.strerror}"
            ) from error


class RegionFiles:
    """Opens regions in a directory of memory objects."""

    def __init__(self, directory: Path = DIRECTORY) -> None:
        self._directory = directory

    def identify(self, region: Region) -> Region:
        """The region with the file that its key names now.

        Raises TriremeError(INVALID_ARGUMENT) where there is none that can be read and written, or it is
        too small.
        """
        descriptor = self._open(region)
        try:
            found = os.fstat(descriptor)
        finally:
            os.close(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise _invalid(f"Invalid shared memory region: '{region.key}'")
        if region.offset + region.byte_size > found.st_size:
            raise _invalid(
                f"failed to register shared memory region '{region.name}': invalid args; "
                f"'{region.key}' has {found.st_size} bytes"
            )
        return replace(region, device=found.st_dev, inode=found.st_ino)

    def open(self, region: Region) -> OpenRegion:
        """The region as it was registered. Raises TriremeError(INVALID_ARGUMENT) where its key names
        another object by now, or none."""
        descriptor = self._open(region)
        opened = OpenRegion(region, descriptor)
        found = os.fstat(descriptor)
        if (found.st_dev, found.st_ino) != (region.device, region.inode):
            raise _unable(region)
        return opened

    def _open(self, region: Region) -> int:
        try:
            return os.open(self._directory / file_name_of(region.key), _FLAGS)
        except (OSError, ValueError) as error:
            raise _unable(region) from error


def _unable(region: Region) -> TriremeError:
    return _invalid(f"Unable to open shared memory region: '{region.key}'")


def _shrunk(place: Place) -> TriremeError:
    return _invalid(f"the memory of shared memory region '{place.region}' has become smaller than it was")


def _invalid(detail: str) -> TriremeError:
    return TriremeError(Code.INVALID_ARGUMENT, detail)

"""Files that stand for memory objects: read, written, cut short and replaced under the reader's hands."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from trireme_common.errors import TriremeError
from trireme_gateway.extensions.region_files import OpenRegion, RegionFiles
from trireme_gateway.extensions.regions import Region
from trireme_gateway.v2.shared_memory import Place


def opened(folder: Path, *, offset: int = 4, byte_size: int = 8) -> OpenRegion:
    """Bytes 4 to 12 of an object of 16 bytes that counts from 0."""
    (folder / "memory").write_bytes(bytes(range(16)))
    files = RegionFiles(folder)
    return files.open(files.identify(Region("r", "/memory", offset, byte_size)))


def test_places_are_counted_from_the_regions_beginning(tmp_path: Path) -> None:
    region = opened(tmp_path)
    assert region.read(Place("r", 2, 3)) == bytes([6, 7, 8])
    region.write(Place("r", 6, 2), b"ab")
    assert (tmp_path / "memory").read_bytes() == bytes(range(10)) + b"ab" + bytes(range(12, 16))
    assert region.read(Place("r", 0, 0)) == b""


@pytest.mark.parametrize(
    ("offset", "size", "said"),
    [
        (8, 1, "Invalid offset for shared memory region: 'r'"),
        (8, 0, "Invalid offset for shared memory region: 'r'"),
        (0, 9, "Invalid offset + byte size for shared memory region: 'r'"),
        (7, 2, "Invalid offset + byte size for shared memory region: 'r'"),
        (1, 2**63 - 1, "Invalid offset + byte size for shared memory region: 'r'"),
    ],
)
def test_nothing_outside_of_the_region_is_touched(tmp_path: Path, offset: int, size: int, said: str) -> None:
    region = opened(tmp_path)
    with pytest.raises(TriremeError) as read:
        region.read(Place("r", offset, size))
    with pytest.raises(TriremeError) as written:
        region.write(Place("r", offset, size), b"")
    assert read.value.detail == written.value.detail == said


def test_memory_that_was_cut_short_is_an_error_and_nothing_worse(tmp_path: Path) -> None:
    region = opened(tmp_path)
    os.truncate(tmp_path / "memory", 6)
    with pytest.raises(TriremeError, match="has become smaller"):
        region.read(Place("r", 0, 8))
    with pytest.raises(TriremeError, match="has become smaller"):
        region.write(Place("r", 0, 8), b"x" * 8)
    assert (tmp_path / "memory").stat().st_size == 6
    assert region.read(Place("r", 0, 2)) == bytes([4, 5])


def test_an_open_region_stays_what_it_was_when_its_key_names_something_else(tmp_path: Path) -> None:
    region = opened(tmp_path)
    (tmp_path / "memory").unlink()
    (tmp_path / "memory").write_bytes(b"another's data!!")
    assert region.read(Place("r", 0, 2)) == bytes([4, 5])
    with pytest.raises(TriremeError, match="Unable to open shared memory region: '/memory'"):
        RegionFiles(tmp_path).open(region.region)


def test_only_memory_that_is_there_and_large_enough_can_be_registered(tmp_path: Path) -> None:
    files = RegionFiles(tmp_path)
    (tmp_path / "small").write_bytes(b"123")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(tmp_path / "small")
    (tmp_path / "folder").mkdir()
    for key, said in (
        ("nothing", "Unable to open shared memory region: 'nothing'"),
        ("link", "Unable to open shared memory region: 'link'"),
        ("folder", "Unable to open shared memory region: 'folder'"),
        ("pipe", "Invalid shared memory region: 'pipe'"),
        ("small", "failed to register shared memory region 'r': invalid args; 'small' has 3 bytes"),
    ):
        with pytest.raises(TriremeError) as refused:
            files.identify(Region("r", key, 1, 3))
        assert refused.value.detail == said
    assert files.identify(Region("r", "small", 1, 2)).inode == (tmp_path / "small").stat().st_ino


def test_a_region_that_nobody_uses_is_closed(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    region = opened(tmp_path)
    assert len(os.listdir("/proc/self/fd")) == before + 1
    del region
    assert len(os.listdir("/proc/self/fd")) == before

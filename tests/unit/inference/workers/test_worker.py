"""What a process shares with nobody."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from trireme_inference.workers.worker import private_bytes

ROLLUP = """\
55d29a6ec000-7ffe68dee000 ---p 00000000 00:00 0                          [rollup]
Rss:              100000 kB
Shared_Dirty:      70000 kB
Private_Clean:      9000 kB
Private_Dirty:     11000 kB
Anonymous:         81000 kB
"""
STATM = "50000 30 10 1 0 20 0"


def test_what_was_written_and_no_other_process_has_is_private(tmp_path: Path) -> None:
    (tmp_path / "smaps_rollup").write_text(ROLLUP)
    (tmp_path / "statm").write_text(STATM)
    assert private_bytes(tmp_path) == 11000 * 1024


@pytest.mark.parametrize("rollup", [None, "", "Private_Dirty:", "Private_Dirty: much kB"])
def test_where_the_kernel_does_not_tell_what_no_file_holds_is_taken(
    tmp_path: Path, rollup: str | None
) -> None:
    (tmp_path / "statm").write_text(STATM)
    if rollup is not None:
        (tmp_path / "smaps_rollup").write_text(rollup)
    assert private_bytes(tmp_path) == 20 * os.sysconf("SC_PAGESIZE")


def test_a_process_that_is_gone_has_nothing(tmp_path: Path) -> None:
    assert private_bytes(tmp_path / "none") == 0


def test_what_this_process_writes_is_its_own() -> None:
    before = private_bytes(Path("/proc/self"))
    written = bytearray(os.urandom(64 << 20))
    assert private_bytes(Path("/proc/self")) - before > len(written) // 2

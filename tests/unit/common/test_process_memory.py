from __future__ import annotations

from pathlib import Path

import pytest

from trireme_common.process_memory import available_bytes, resident_bytes


@pytest.mark.parametrize("name", ["memory.max", "memory/memory.limit_in_bytes"])
def test_the_containers_limit_stands_in_both_cgroup_versions(tmp_path: Path, name: str) -> None:
    machine = available_bytes(tmp_path)
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    for written, expected in (
        ("4096\n", 4096),
        ("max\n", machine),
        (f"{1 << 62}\n", machine),
        ("?", machine),
    ):
        path.write_text(written)
        assert available_bytes(tmp_path) == expected
    assert machine > 1 << 20


def test_what_this_process_holds(tmp_path: Path) -> None:
    assert resident_bytes() > 1 << 20
    assert resident_bytes(tmp_path / "none") == 0

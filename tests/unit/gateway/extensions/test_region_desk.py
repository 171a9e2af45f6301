from __future__ import annotations

from pathlib import Path

import pytest

from trireme_common.errors import Code, TriremeError
from trireme_gateway.extensions.region_desk import RegionDesk
from trireme_gateway.extensions.region_files import RegionFiles
from trireme_gateway.extensions.regions import MAX_REGIONS
from trireme_gateway.v2.shared_memory import Place


@pytest.fixture
def desk(tmp_path: Path) -> RegionDesk:
    (tmp_path / "memory").write_bytes(b"0123456789")
    return RegionDesk(enabled=True, files=RegionFiles(tmp_path))


async def test_a_region_is_used_by_its_name_until_it_is_unregistered(desk: RegionDesk) -> None:
    await desk.register("r", "/memory", 2, 6)
    assert desk.status("r") == [{"name": "r", "key": "/memory", "offset": 2, "byte_size": 6}]
    assert desk.read(Place("r", 1, 3)) == b"345"
    desk.write(Place("r", 1, 3), b"ab")
    assert desk.read(Place("r", 0, 6)) == b"2ab567"
    await desk.unregister("r")
    assert desk.status() == []
    with pytest.raises(TriremeError, match="Unable to find shared memory region: 'r'") as gone:
        desk.check(Place("r", 0, 1))
    assert gone.value.code is Code.NOT_FOUND


async def test_all_are_unregistered_together_and_unknown_ones_are_none(desk: RegionDesk) -> None:
    for name in "cab":
        await desk.register(name, "/memory", 0, 1)
    await desk.unregister("nobody")
    assert [region["name"] for region in desk.status()] == ["a", "b", "c"]
    await desk.unregister("b")
    assert [region["name"] for region in desk.status()] == ["a", "c"]
    await desk.unregister()
    assert desk.status() == []


async def test_a_name_is_taken_until_it_is_given_back(desk: RegionDesk, tmp_path: Path) -> None:
    (tmp_path / "other").write_bytes(b"other")
    await desk.register("r", "/memory", 0, 5)
    with pytest.raises(TriremeError, match="shared memory region 'r' already in manager"):
        await desk.register("r", "/other", 0, 5)
    assert desk.read(Place("r", 0, 5)) == b"01234"
    await desk.unregister("r")
    await desk.register("r", "/other", 0, 5)
    assert desk.read(Place("r", 0, 5)) == b"other"


async def test_there_are_not_more_than_the_process_can_bear(desk: RegionDesk) -> None:
    for number in range(MAX_REGIONS):
        await desk.register(f"r{number}", "/memory", 0, 1)
    with pytest.raises(TriremeError, match=f"no more than {MAX_REGIONS}"):
        await desk.register("one too many", "/memory", 0, 1)


async def test_registration_is_the_administrators_to_allow() -> None:
    desk = RegionDesk()
    with pytest.raises(TriremeError, match="TRIREME_GATEWAY_SHARED_MEMORY=true") as refused:
        await desk.register("r", "/memory", 0, 1)
    assert refused.value.code is Code.FORBIDDEN
    assert desk.status() == []
    await desk.unregister()


def test_a_region_that_is_not_there_has_no_status(desk: RegionDesk) -> None:
    for status, kind in ((desk.status, "system"), (desk.cuda_status, "cuda")):
        with pytest.raises(TriremeError, match=f"Unable to find {kind} shared memory region: 'r'") as missing:
            status("r")
        assert missing.value.code is Code.NOT_FOUND


def test_cuda_shared_memory_is_not_supported(desk: RegionDesk) -> None:
    assert desk.cuda_status() == []
    assert "region: 'r', CUDA shared memory is not supported" in desk.refuse_cuda("r").detail

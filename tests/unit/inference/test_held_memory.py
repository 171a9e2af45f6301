"""What loaded versions are found to take."""

from __future__ import annotations

from pathlib import Path

from tests.support.repositories import change, write_model
from trireme_common.repository import VersionFiles, scan
from trireme_common.shelf import Needs
from trireme_inference.held_memory import HeldMemory


def version(models: Path) -> VersionFiles:
    (files,) = scan(models).versions
    return files


class Devices:
    """Bytes taken of each device, as a test sets them."""

    def __init__(self) -> None:
        self.used: dict[str, int | None] = {"cpu": 1000, "cuda:0": 5000, "cuda:1": None}
        self.held = HeldMemory(self.used.get)

    def grow(self, size: int, device: str = "cpu") -> None:
        self.used[device] = (self.used[device] or 0) + size


def test_a_load_alone_is_given_what_memory_grew_by() -> None:
    devices = Devices()
    with devices.held.growth(["cpu", "cuda:0"]) as grown:
        devices.grow(300)
        devices.grow(70, "cuda:0")
    devices.grow(1000)
    assert grown == {"cpu": 300, "cuda:0": 70}
    with devices.held.growth(["cpu"]) as grown:
        devices.grow(-20)
    assert grown == {"cpu": -20}


def test_loads_that_overlap_share_what_memory_grew_by_meanwhile() -> None:
    devices = Devices()
    with devices.held.growth(["cpu"]) as first:
        devices.grow(100)
        with devices.held.growth(["cpu"]) as second:
            devices.grow(60)
        devices.grow(7)
    assert (first, second) == ({"cpu": 137}, {"cpu": 30})


def test_a_version_takes_no_less_than_its_weights_where_they_are(tmp_path: Path) -> None:
    write_model(tmp_path, "m", 1, weights="x" * 50)
    files, held = version(tmp_path), Devices().held
    assert held.needs(files, "cpu") == Needs(50)
    assert held.held(files, (), {"cpu": 20}, None) == {"cpu": 50}
    assert held.held(files, (), {"cpu": 80}, None) == {"cpu": 80}
    assert held.needs(files, "cpu") == Needs(50)  # it may not grow by so much another time


def test_what_traffic_takes_while_a_small_model_is_loaded_is_not_charged_to_it(tmp_path: Path) -> None:
    write_model(tmp_path, "m", 1, weights="x" * 50)
    files, held = version(tmp_path), Devices().held
    assert held.held(files, (), {"cpu": 10 << 30}, None)["cpu"] < 100 << 20
    assert held.held(files, ("cuda:0",), {"cpu": 10 << 30}, None)["cpu"] < 100 << 20
    assert held.held(files, (), {}, 10 << 30)["cpu"] == 10 << 30  # its processes are its own
    assert held.held(files, ("cuda:0",), {"cpu": -5}, None)["cpu"] == 0  # the service gave some back


def test_a_reading_that_fails_is_no_growth() -> None:
    devices = Devices()
    with devices.held.growth(["cuda:0"]) as grown:
        devices.grow(70, "cuda:0")
        devices.used["cuda:0"] = None
    assert grown == {"cuda:0": 0}
    with devices.held.growth(["cuda:0"]) as grown:
        devices.used["cuda:0"] = 9000
    assert grown == {"cuda:0": 0}  # nothing is known of what stood there before
    with devices.held.growth(["cuda:0"]) as grown:
        devices.grow(70, "cuda:0")
    assert grown == {"cuda:0": 70}


def test_a_reading_that_fails_between_two_loads_takes_nothing_from_the_other() -> None:
    devices = Devices()
    with devices.held.growth(["cuda:0"]) as first:
        devices.grow(70, "cuda:0")
        devices.used["cuda:0"], taken = None, devices.used["cuda:0"]
        with devices.held.growth(["cuda:0"]) as second:
            devices.used["cuda:0"] = taken
        assert second == {"cuda:0": 35}
    assert first == {"cuda:0": 35}


def test_a_version_on_gpus_takes_of_this_machine_what_its_processes_hold(tmp_path: Path) -> None:
    write_model(tmp_path, "m", 1, weights="x" * 50)
    files, devices = version(tmp_path), Devices()
    assert devices.held.needs(files, "cuda:0") == Needs(0, alone=True)
    with devices.held.growth(["cuda:0", "cuda:1"]) as grown:
        devices.grow(400, "cuda:0")
    held = devices.held.held(files, ("cuda:0", "cuda:1"), grown, 30)
    assert held == {"cpu": 30, "cuda:0": 400, "cuda:1": 50}  # nobody tells of the second
    assert devices.held.needs(files, "cuda:0") == Needs(30, alone=True)


def test_what_processes_held_is_expected_of_the_same_files_again(tmp_path: Path) -> None:
    write_model(tmp_path, "m", 1, weights="x" * 50)
    files, held = version(tmp_path), Devices().held
    assert held.held(files, (), {}, 300) == {"cpu": 300}
    assert held.needs(files, "cpu") == Needs(300)
    change(files.directory / "model.onnx", "y" * 60)
    assert held.needs(version(tmp_path), "cpu") == Needs(60)

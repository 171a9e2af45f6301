"""Which device a model gets, what fits there, and what runtimes are found."""

import subprocess
import sys
from pathlib import Path

import pytest

from trireme_common.errors import SpecError
from trireme_common.memory import NoRoomError, Shortage
from trireme_inference.devices import free_gpu_bytes, gpu_count, require_room, resolve_device
from trireme_inference.runtimes import installed, with_cuda

MIB = 1 << 20


@pytest.mark.parametrize(
    ("wanted", "default", "gpus", "expected"),
    [
        ("auto", "auto", 0, "cpu"),
        ("auto", "auto", 2, "cuda:0"),
        ("auto", "cuda:1", 2, "cuda:1"),
        ("auto", "cpu", 2, "cpu"),
        ("cpu", "cuda:0", 1, "cpu"),
        ("cuda", "auto", 1, "cuda:0"),
        ("cuda:1", "auto", 2, "cuda:1"),
    ],
)
def test_devices(wanted: str, default: str, gpus: int, expected: str) -> None:
    assert resolve_device(wanted, default, gpus) == expected


@pytest.mark.parametrize(
    ("wanted", "gpus", "expected"), [("cuda:0", 0, "CUDA is missing"), ("cuda:2", 2, "the last")]
)
def test_only_auto_falls_back(wanted: str, gpus: int, expected: str) -> None:
    with pytest.raises(SpecError, match=expected):
        resolve_device(wanted, "auto", gpus)


def test_a_model_that_does_not_fit_says_by_how_much() -> None:
    with pytest.raises(NoRoomError) as caught:
        require_room(1000 * MIB, 1024 * MIB, "cuda:1")
    assert caught.value.shortage == Shortage("cuda:1", 432 * MIB)
    assert caught.value.detail == (
        "does not fit on cuda:1: the weights take 1000 MiB and with room to run about 1456 MiB, which is "
        "432 MiB more than its free memory of 1024 MiB"
    )
    with pytest.raises(SpecError, match="432 MiB more than TRIREME_INFERENCE_GPU_MEMORY_LIMIT_BYTES of 1024"):
        require_room(1000 * MIB, 4096 * MIB, "cuda:1", limit_bytes=1024 * MIB)


def test_no_other_model_has_to_leave_for_one_that_may_not_take_so_much() -> None:
    with pytest.raises(SpecError) as caught:
        require_room(1000 * MIB, 512 * MIB, "cuda:1", limit_bytes=1024 * MIB)
    assert not isinstance(caught.value, NoRoomError)


@pytest.mark.parametrize(("free", "limit"), [(1456 * MIB, 0), (None, 0), (None, 1456 * MIB)])
def test_a_model_that_fits_or_cannot_be_judged_is_loaded(free: int | None, limit: int) -> None:
    require_room(1000 * MIB, free, "cuda:0", limit)


@pytest.mark.skipif(gpu_count() > 0, reason="this machine has a GPU")
def test_without_a_driver_nothing_is_known_of_its_memory() -> None:
    assert free_gpu_bytes("cuda:0") is None


def test_runtimes_are_told_by_their_files_alone(tmp_path: Path) -> None:
    site = tmp_path / "site"
    (site / "onnxruntime" / "capi").mkdir(parents=True)
    (site / "onnxruntime" / "__init__.py").write_text("raise SystemExit('imported')")
    (site / "torch").mkdir()
    (site / "torch" / "__init__.py").write_text("raise SystemExit('imported')")
    ask = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from trireme_inference.runtimes import installed, with_cuda\n"
        "print(installed('torch'), sorted(with_cuda()))"
    )

    def answer() -> str:
        done = subprocess.run(
            [sys.executable, "-c", ask, str(site)], capture_output=True, text=True, timeout=60, check=True
        )
        return done.stdout.strip()

    (site / "torch" / "version.py").write_text("cuda: Optional[str] = None\n")
    assert answer() == "True []"
    (site / "torch" / "version.py").write_text("cuda: Optional[str] = '12.8'\n")
    (site / "onnxruntime" / "capi" / "libonnxruntime_providers_cuda.so").touch()
    assert answer() == "True ['onnxruntime', 'torch']"


def test_what_is_not_there_is_not_installed() -> None:
    assert not installed("no_such_package")
    assert with_cuda() <= {"onnxruntime", "torch"}

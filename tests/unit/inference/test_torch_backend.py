"""Torch behind the port: both kinds of archive, what they take and give, what is said where they cannot be
served."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import trireme_common
import trireme_inference
import trireme_protos
from tests.support.torch_models import Linear, Two, write_program, write_script
from trireme_common.errors import SpecError
from trireme_common.stage_state import TensorInfo
from trireme_inference.backend import OpenOptions, RunError
from trireme_inference.torch_backend import open_torch

X = TensorInfo("x", "FP32", (-1, 4))
Y = TensorInfo("y", "FP32", (-1, 3))
OPTIONS = OpenOptions(inputs=(X,), outputs=(Y,))
ROWS = np.arange(20, dtype=np.float32).reshape(5, 4) / 10


@pytest.fixture(params=["model.pt2", "model.pt"])
def version(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A version's directory with the linear model in either kind of archive."""
    if request.param == "model.pt2":
        write_program(tmp_path / request.param, Linear(), torch.zeros(2, 4))
    else:
        write_script(tmp_path / request.param, Linear())
    return tmp_path


def expected(rows: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        answer: np.ndarray = Linear()(torch.from_numpy(rows)).numpy()
    return answer


def test_any_number_of_rows_runs(version: Path) -> None:
    backend = open_torch(version, OPTIONS)
    rows = ROWS.copy()
    rows.flags.writeable = False  # as those of a request are
    for count in (1, 2, 5):
        (answer,) = backend.run({"x": rows[:count]}, ("y",))
        np.testing.assert_allclose(answer, expected(ROWS[:count]), rtol=1e-6)
    assert backend.device == "cpu"
    assert backend.platform in ("pytorch_export", "pytorch_libtorch")
    backend.close()


def test_a_bad_input_fails_without_a_word_of_it(version: Path) -> None:
    backend = open_torch(version, OPTIONS)
    with pytest.raises(RunError) as caught:
        backend.run({"x": np.full((2, 3), 77, np.float32)}, ("y",))
    assert caught.value.detail == "the model failed on this input"


def test_arguments_and_results_are_in_the_order_of_model_yaml(tmp_path: Path) -> None:
    write_program(tmp_path / "model.pt2", Two(), torch.zeros(2, 2), torch.zeros(2, 2))
    left, right, total, rest = (
        TensorInfo(name, "FP32", (-1, 2)) for name in ("left", "right", "sum", "rest")
    )
    backend = open_torch(tmp_path, OpenOptions(inputs=(left, right), outputs=(total, rest)))
    feed = {"right": np.ones((3, 2), np.float32), "left": np.full((3, 2), 5, np.float32)}
    sums, differences = backend.run(feed, ("sum", "rest"))
    assert (sums[0, 0], differences[0, 0]) == (6, 4)
    (only,) = backend.run(feed, ("rest",))
    assert (only == 4).all()


def test_a_wrong_declaration_is_an_error_of_the_model(version: Path) -> None:
    twice = open_torch(version, replace(OPTIONS, outputs=(Y, replace(Y, name="z"))))
    with pytest.raises(RunError):
        twice.run({"x": ROWS}, ("y",))
    whole = open_torch(version, replace(OPTIONS, outputs=(replace(Y, datatype="INT64"),)))
    with pytest.raises(RunError, match=r"gives float32, model.yaml says INT64"):
        whole.run({"x": ROWS}, ("y",))


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_lower_precision_answers_in_the_declared_type(version: Path, precision: str) -> None:
    backend = open_torch(version, replace(OPTIONS, torch_precision=precision))
    (answer,) = backend.run({"x": ROWS}, ("y",))
    assert answer.dtype == np.float32
    np.testing.assert_allclose(answer, expected(ROWS), rtol=2e-2)
    assert (answer != expected(ROWS)).any()


class Steps(nn.Module):
    """Two layers, and FP32 asked for between them."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 4)
        self.last = nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        answer: torch.Tensor = self.last(self.first(x).float())
        return answer


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_a_program_that_asks_for_a_type_runs_in_lower_precision_too(tmp_path: Path, precision: str) -> None:
    write_program(tmp_path / "model.pt2", Steps(), torch.zeros(2, 4))
    (exact,) = open_torch(tmp_path, OPTIONS).run({"x": ROWS}, ("y",))
    (answer,) = open_torch(tmp_path, replace(OPTIONS, torch_precision=precision)).run({"x": ROWS}, ("y",))
    np.testing.assert_allclose(answer, exact, rtol=5e-2, atol=5e-2)
    assert (answer != exact).any()


class Offset(nn.Module):
    """x + 1, the ones made where x lies."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + torch.ones(4, device=x.device)


def test_a_program_of_another_device_runs_on_the_one_it_is_opened_on(tmp_path: Path) -> None:
    write_program(tmp_path / "model.pt2", Offset(), torch.zeros((2, 4), device="meta"))
    backend = open_torch(tmp_path, replace(OPTIONS, outputs=(replace(Y, shape=(-1, 4)),)))
    (answer,) = backend.run({"x": ROWS}, ("y",))
    assert (answer == ROWS + 1).all()


class Bits(nn.Module):
    """The argument as it came, and whether it is above zero."""

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"same": x * 1, "positive": x > 0}


def test_bfloat16_travels_as_its_bits(tmp_path: Path) -> None:
    write_program(tmp_path / "model.pt2", Bits(), torch.zeros((2, 2), dtype=torch.bfloat16))
    x, positive = TensorInfo("x", "BF16", (-1, 2)), TensorInfo("positive", "BOOL", (-1, 2))
    backend = open_torch(tmp_path, OpenOptions(inputs=(x,), outputs=(replace(x, name="same"), positive)))
    bits = np.array([[0x3F80, 0xBF80]], np.uint16)  # 1 and -1
    same, above = backend.run({"x": bits}, ("same", "positive"))
    assert same.tolist() == bits.tolist()
    assert above.tolist() == [[True, False]]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (OpenOptions(), "needs 'inputs' and 'outputs' in model.yaml"),
        (replace(OPTIONS, inputs=(replace(X, datatype="BYTES"),)), "backend 'torch' has no BYTES"),
        (replace(OPTIONS, device="cuda:0"), "cannot use CUDA"),
    ],
)
@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_what_cannot_be_served_says_why(version: Path, options: OpenOptions, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        open_torch(version, options)


def test_the_file_must_be_one_of_the_two(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"model.pt2 or model.pt is missing"):
        open_torch(tmp_path, OPTIONS)
    write_script(tmp_path / "model.pt", Linear())
    (tmp_path / "model.pt2").write_bytes(b"")
    with pytest.raises(SpecError, match="serves one of them"):
        open_torch(tmp_path, OPTIONS)
    assert open_torch(tmp_path, replace(OPTIONS, model_file="model.pt")).platform == "pytorch_libtorch"


def test_options_come_back_from_json() -> None:
    tensor = {"name": "x", "datatype": "FP32", "shape": (-1, 4), "labels": ()}
    assert OpenOptions(inputs=(tensor,)).inputs == (X,)  # type: ignore[arg-type]


def test_torch_is_imported_with_the_first_model_alone() -> None:
    code = (
        "import sys; from trireme_inference.bootstrap import BACKENDS; assert 'torch' in BACKENDS; "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 0


OPEN = """
import sys
from pathlib import Path
from trireme_common.errors import SpecError
from trireme_common.stage_state import TensorInfo
from trireme_inference.backend import OpenOptions
from trireme_inference.torch_backend import open_torch
tensor = TensorInfo("x", "FP32", (-1, 4))
try:
    open_torch(Path(sys.argv[1]), OpenOptions(inputs=(tensor,), outputs=(tensor,)))
except SpecError as error:
    print(error.detail)
"""


def test_where_torch_is_missing_the_model_says_what_to_install(version: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    site.mkdir()
    for entry in Path(torch.__file__).parents[1].iterdir():
        if not entry.name.startswith("torch"):
            (site / entry.name).symlink_to(entry)
    ours = [
        str(Path(module.__file__ or "").parents[1])
        for module in (trireme_common, trireme_inference, trireme_protos)
    ]
    done = subprocess.run(
        [sys.executable, "-S", "-c", OPEN, str(version)],
        env={"PYTHONPATH": ":".join([str(site), *ours])},
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert "torch is not installed here" in done.stdout
    assert "pip install 'trireme-inference[torch]'" in done.stdout


def test_compiling_without_a_compiler_says_so(version: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(version))
    with pytest.raises(SpecError, match=r"torch.compile needs a compiler, one of g\+\+"):
        open_torch(version, replace(OPTIONS, torch_compile=True))

"""The training scripts reach their bars, and write all that the repository needs."""

from __future__ import annotations

import json
import subprocess
import sys
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from torch import nn

from trireme_lab import export, folder, reviews, training

MODELS = Path(__file__).resolve().parents[3] / "models"


def train(name: str, output: Path) -> dict[str, Any]:
    """Runs the model's script as a person would; gives quality.json."""
    script = MODELS / name / "train.py"
    done = subprocess.run(
        [sys.executable, str(script), "--output", str(output)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder.ModelFolder(output).quality()


def check_folder(name: str, output: Path) -> None:
    """The golden answer is met and every digest is right."""
    export.check_golden(output / "golden.json", output / "1" / "model.onnx")
    written = folder.ModelFolder(output).spec
    assert written["digests"] == {file: folder.sha256(output / file) for file in written["digests"]}
    committed = folder.ModelFolder(MODELS / name).spec
    assert {**written, "digests": None} == {**committed, "digests": None}


@pytest.mark.timeout(600)
def test_digits(tmp_path: Path) -> None:
    quality = train("digits", tmp_path)
    assert quality["metrics"]["accuracy"] >= 0.98
    assert quality["lowest_accuracy"] >= 0.98
    assert sorted(path.name for path in (tmp_path / "samples").iterdir()) == ["3.png", "7.png", "8.png"]
    check_folder("digits", tmp_path)


@pytest.mark.timeout(300)
def test_tabular(tmp_path: Path) -> None:
    quality = train("tabular", tmp_path)
    assert quality["metrics"]["r2"] >= 0.4
    check_folder("tabular", tmp_path)


class TestFit:
    @pytest.fixture
    def console(self) -> Console:
        return Console(file=StringIO())

    def test_stops_early_with_the_best_weights(self, console: Console) -> None:
        model = nn.Linear(1, 1, bias=False)
        losses = iter([3.0, 1.0, 2.0, 2.0, 9.0])

        def train_epoch(epoch: int) -> float:
            with torch.no_grad():
                model.weight.fill_(float(epoch))
            return 0.0

        fitted = training.fit(
            model, train_epoch, lambda: next(losses), max_epochs=99, patience=2, console=console
        )
        assert fitted == training.Fitted(epochs=4, best_epoch=2, validation_loss=1.0)
        assert model.weight.item() == 1.0
        assert not model.training

    def test_ends_at_max_epochs(self, console: Console) -> None:
        losses = iter([3.0, 2.0])
        fitted = training.fit(
            nn.Linear(1, 1), lambda _: 0.0, lambda: next(losses), max_epochs=2, patience=5, console=console
        )
        assert (fitted.epochs, fitted.best_epoch) == (2, 2)


class TestGolden:
    @pytest.fixture
    def model(self, tmp_path: Path) -> tuple[nn.Module, Path]:
        training.seed_everything(1, threads=1)
        module = nn.Sequential(nn.Linear(3, 2), nn.Softmax(dim=1)).eval()
        path = tmp_path / "model.onnx"
        export.to_onnx(module, {"x": torch.zeros(2, 3)}, ["y"], path, dynamic={"x": {0: "batch"}})
        return module, path

    def test_agrees_and_disagrees(self, model: tuple[nn.Module, Path], tmp_path: Path) -> None:
        module, path = model
        numbers = torch.arange(96, dtype=torch.float32).reshape(32, 3) / 50
        with torch.no_grad():
            answer = module(numbers[:2]).numpy()
        golden = tmp_path / "golden.json"
        export.write_golden(golden, {"x": numbers[:2].numpy()}, {"y": answer}, 1e-5)
        assert export.check_golden(golden, path) <= 1e-5
        assert export.check_batches(module, path, {"x": numbers.numpy()}, 1e-5) <= 1e-5
        document = json.loads(golden.read_text("utf-8"))
        document["response"]["outputs"][0]["data"][0] += 0.01
        golden.write_text(json.dumps(document), "utf-8")
        with pytest.raises(export.DisagreementError):
            export.check_golden(golden, path)
        with pytest.raises(export.DisagreementError):
            export.check_batches(nn.Linear(3, 2), path, {"x": numbers.numpy()}, 1e-5)


class TestModelYaml:
    def test_values_change_and_comments_stay(self, tmp_path: Path) -> None:
        page = tmp_path / "model.yaml"
        page.write_text('# why\nmean: []  # old\ndigests:\n  1/a: ""\n', "utf-8")
        (tmp_path / "1").mkdir()
        (tmp_path / "1" / "a").write_bytes(b"")
        folder.set_values(tmp_path, {"mean": [1.5, 2.0]})
        folder.set_digests(tmp_path)
        empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        assert page.read_text("utf-8") == f'# why\nmean: [1.5, 2.0]\ndigests:\n  1/a: "{empty}"\n'

    def test_a_key_must_stand_once(self, tmp_path: Path) -> None:
        (tmp_path / "model.yaml").write_text("a: 1\n  a: 2\n", "utf-8")
        with pytest.raises(ValueError, match="2 lines"):
            folder.set_values(tmp_path, {"a": 3})


def test_the_split_of_the_reviews() -> None:
    data = reviews.load(42)
    assert (len(data.train), len(data.validation), len(data.test)) == (13891, 1736, 1736)
    assert len(data.ambiguous) == 47
    everything = [*data.train.lines, *data.validation.lines, *data.test.lines]
    assert len(set(everything)) == len(everything) == 17363
    assert not set(everything) & set(data.ambiguous)
    assert reviews.load(42) == data
    assert reviews.load(43).test.sha256 != data.test.sha256

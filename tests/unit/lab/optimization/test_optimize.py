"""`trireme optimize` on a tiny model: what is measured, what is published, what is refused."""

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from trireme_lab import export, folder, training
from trireme_lab.optimization.__main__ import main
from trireme_lab.optimization.variants import VARIANTS


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with one classifier whose weights are most of its bytes; not to be changed."""
    repository = tmp_path_factory.mktemp("made") / "models"
    training.seed_everything(3, threads=1)
    module = nn.Sequential(nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 3)).eval()
    model = repository / "tiny"
    (model / "1").mkdir(parents=True)
    path = model / "1" / "model.onnx"
    export.to_onnx(module, {"x": torch.zeros(2, 64)}, ["y"], path, dynamic={"x": {0: "batch"}})
    numbers = torch.randn(6, 64)
    with torch.no_grad():
        answer = module(numbers).numpy()
    export.write_golden(model / "golden.json", {"x": numbers.numpy()}, {"y": answer}, 1e-5)
    (model / "1" / "words.txt").write_text("an asset")
    (model / "model.yaml").write_text(
        "name: tiny\nbatching:\n  max_batch_size: 8\n"
        "inputs: [{name: x, datatype: FP32, shape: [-1, 64]}]\n"
        "outputs: [{name: y, datatype: FP32, shape: [-1, 3]}]\n"
        'digests:\n  1/model.onnx: ""\n'
    )
    folder.set_digests(model)
    return repository


@pytest.fixture
def models(made: Path, tmp_path: Path) -> Path:
    """A copy of it, to be changed by the test."""
    return shutil.copytree(made, tmp_path / "models")


def _run(models: Path, *arguments: str) -> int:
    return main(["tiny", "--models", str(models), "--rounds", "1", *arguments])


def _tree(models: Path) -> dict[str, bytes]:
    return {str(path.relative_to(models)): path.read_bytes() for path in models.rglob("*") if path.is_file()}


def test_every_variant_is_measured_and_nothing_is_written(
    models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = _tree(models)

    assert _run(models, "--json") == 0

    told = capsys.readouterr()
    report = json.loads(told.out)
    found = {each["variant"]: each for each in report["variants"]}
    assert list(found) == list(VARIANTS)
    assert [[speed["batch"] for speed in each["speeds"]] for each in found.values()] == [[1, 8]] * 4
    assert found["graph"]["agreement"]["loss"] < 1e-6
    assert found["int8-static"]["bytes"] < 0.5 * found["int8-static"]["original_bytes"]
    assert 0 < found["int8-static"]["agreement"]["loss"] < 0.1
    assert 0 < found["fp16"]["agreement"]["loss"] < 0.01
    assert found["int8-dynamic"]["neighbours_gap"] > 0
    assert any("one by one" in reason for reason in found["int8-dynamic"]["refusals"])
    assert report["items"] == 6
    assert "measured on 6 items only" in told.err
    assert _tree(models) == before


def test_published_inside_the_tolerance(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = _tree(models)

    assert _run(models, "--variants", "int8-static", "--tolerance", "0.2", "--publish") == 0

    told = capsys.readouterr()
    assert "published int8-static as" in told.err
    assert "its golden check allows " in told.err
    assert "int8-static" in told.out
    made = models / "tiny" / "2"
    assert sorted(path.name for path in made.iterdir()) == [
        "golden.json",
        "model.onnx",
        "quality.json",
        "words.txt",
    ]
    golden, shared = json.loads((made / "golden.json").read_text()), json.loads(before["tiny/golden.json"])
    assert golden["response"] == shared["response"]
    assert golden["tolerance"]["atol"] > shared["tolerance"]
    quality = json.loads((made / "quality.json").read_text())
    assert quality["made_from"] == {
        "version": 1,
        "sha256": hashlib.sha256(before["tiny/1/model.onnx"]).hexdigest(),
    }
    assert {node.op_type for node in onnx.load(made / "model.onnx").graph.node} >= {"QuantizeLinear", "Gemm"}
    spec = (models / "tiny" / "model.yaml").read_text()
    assert f'2/model.onnx: "{hashlib.sha256((made / "model.onnx").read_bytes()).hexdigest()}"' in spec
    assert {name: content for name, content in _tree(models).items() if name in before} | {
        "tiny/model.yaml": before["tiny/model.yaml"]
    } == before


def test_outside_the_tolerance_nothing_is_written(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = _tree(models)

    assert _run(models, "--variants", "int8-static", "--tolerance", "0", "--publish") == 1

    said = capsys.readouterr().err
    assert "nothing was published, because no variant qualifies" in said
    assert "over the tolerance of 0" in said
    assert _tree(models) == before


def test_samples_of_a_file(models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tensor = {"name": "x", "shape": [240, 64], "datatype": "FP32"}
    data = np.random.default_rng(0).standard_normal(240 * 64).tolist()
    (tmp_path / "s.jsonl").write_text(json.dumps({"inputs": [{**tensor, "data": data}]}))

    assert _run(models, "--variants", "fp16", "--samples", str(tmp_path / "s.jsonl"), "--json") == 0

    told = capsys.readouterr()
    assert json.loads(told.out)["items"] == 120 + 6
    assert "warning" not in told.err


def test_a_model_that_a_tool_cannot_take(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    node = onnx.helper.make_node("NoSuchOperator", ["x"], ["y"], domain="none.such")
    path = models / "tiny" / "1" / "model.onnx"
    model = onnx.load(path)
    model.graph.node.append(node)
    path.write_bytes(model.SerializeToString())

    assert _run(models) == 1
    assert "the model itself" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["other"], 2, "it holds: tiny"),
        (["tiny", "--version", "7"], 2, "has no version 7; it has [1]"),
        (["tiny", "--samples", "missing.jsonl"], 2, "missing.jsonl cannot be read"),
    ],
)
def test_wrong_requests(
    models: Path, arguments: list[str], code: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, "--models", str(models)]) == code
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments", [["--variants", "int4"], ["--tolerance", "-1"], ["--rounds", "0"], ["--threads", "x"]]
)
def test_wrong_options(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["tiny", *arguments])
    assert ended.value.code == 2


def test_the_repository_of_the_environment(
    models: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TRIREME_MODELS_DIR", str(models))

    assert main(["other"]) == 2
    assert f"in {models}; it holds: tiny" in capsys.readouterr().err


def test_pins_that_a_version_cannot_be_added_to(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec = models / "tiny" / "model.yaml"
    spec.write_text(
        spec.read_text().replace("digests:\n  1/model.onnx: ", "digests: {1/model.onnx: ") + "}\n"
    )

    assert _run(models, "--publish") == 1
    assert "cannot be added" in capsys.readouterr().err


def test_no_repository(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tiny", "--models", str(tmp_path / "missing")]) == 1
    assert "is not a directory" in capsys.readouterr().err


def test_a_model_without_golden_needs_samples(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (models / "tiny" / "golden.json").unlink()

    assert _run(models) == 2
    assert "--samples" in capsys.readouterr().err

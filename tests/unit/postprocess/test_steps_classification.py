"""softmax, sigmoid, labels and what may be done with a classification."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trireme_common.errors import Code, ItemError, SpecError
from trireme_common.steps import Assets, Chain
from trireme_postprocess.answers import Classification
from trireme_postprocess.steps import VOCABULARY, build_chain

ASSETS = Assets(Path("."))
SCORES = np.array([0.2, 0.5, 0.3])
NAMES = {"names": ["a", "b", "c"]}


def step(name: str, **parameters: Any) -> Chain:
    return VOCABULARY.build([(name, parameters)], ASSETS, "scores")


def classify(*specs: tuple[str, dict[str, Any]], scores: np.ndarray = SCORES) -> Classification:
    answer = build_chain("text-classification", specs, ASSETS)(scores)
    assert isinstance(answer, Classification)
    return answer


class TestSoftmax:
    def test_sums_to_one(self) -> None:
        probabilities = step("softmax")(np.array([1.0, 2.0, 3.0]))
        np.testing.assert_allclose(probabilities, [0.09003057, 0.24472847, 0.66524096], rtol=1e-6)

    def test_temperature(self) -> None:
        calm = step("softmax", temperature=2.0)(np.array([0.0, 2.0]))
        np.testing.assert_allclose(calm, step("softmax")(np.array([0.0, 1.0])))

    @pytest.mark.parametrize("logits", [[1e300, -1e300], [-1e4, -1e4], [700.0, 710.0]])
    def test_large_logits(self, logits: list[float]) -> None:
        assert step("softmax")(np.array(logits)).sum() == pytest.approx(1.0)

    @pytest.mark.parametrize("name", ["softmax", "sigmoid"])
    @pytest.mark.parametrize("logits", [[], [np.nan, 1.0], [np.inf, 1.0], [[1.0]]])
    def test_what_is_no_list_of_scores(self, name: str, logits: list[float]) -> None:
        with pytest.raises(ItemError) as caught:
            step(name)(np.array(logits))
        assert caught.value.code is Code.MODEL_FAILED


class TestSigmoid:
    def test_one_logit_gives_two_classes(self) -> None:
        np.testing.assert_allclose(step("sigmoid")(np.array([np.log(3)])), [0.25, 0.75])

    def test_several_share_one(self) -> None:
        np.testing.assert_allclose(step("sigmoid")(np.array([0.0, 0.0])), [0.5, 0.5])
        np.testing.assert_allclose(step("sigmoid")(np.array([-1e5, -1e5])), [0.5, 0.5])


class TestLabels:
    def test_names(self) -> None:
        answer = classify(("labels", NAMES))
        assert (answer.label, answer.index) == ("b", 1)
        assert answer.by_label == pytest.approx({"a": 0.2, "b": 0.5, "c": 0.3})
        assert answer.confidence == answer.by_label["b"]

    def test_default_names(self) -> None:
        assert classify().labels == ("0", "1", "2")
        assert classify(("softmax", {}), ("top_k", {"k": 1})).labels == ("1",)

    @pytest.mark.parametrize("file", ["labels.json", "labels.txt"])
    def test_from_a_file(self, tmp_path: Path, file: str) -> None:
        (tmp_path / "labels.json").write_text(json.dumps(["负面", "中性", "正面"]), "utf-8")
        (tmp_path / "labels.txt").write_text("负面\n中性\r\n\n正面\n", "utf-8")
        chain = build_chain("text-classification", [("labels", {"file": file})], Assets(tmp_path))
        assert chain(SCORES).label == "中性"

    @pytest.mark.parametrize(
        "content",
        [b"[]", b"{}", b"[1]", b"{", b'["a", "a"]'],
        ids=["none", "map", "number", "broken", "twice"],
    )
    def test_unusable_files(self, tmp_path: Path, content: bytes) -> None:
        (tmp_path / "labels.json").write_bytes(content)
        with pytest.raises(SpecError):
            build_chain("text-classification", [("labels", {"file": "labels.json"})], Assets(tmp_path))

    @pytest.mark.parametrize("content", [b"", b"\n \n", b"\xff\xfe"])
    def test_unusable_text_files(self, tmp_path: Path, content: bytes) -> None:
        (tmp_path / "labels.txt").write_bytes(content)
        with pytest.raises(SpecError):
            build_chain("text-classification", [("labels", {"file": "labels.txt"})], Assets(tmp_path))

    def test_names_and_file(self) -> None:
        with pytest.raises(SpecError, match="not both"):
            step("labels", **NAMES, file="labels.json")

    @pytest.mark.parametrize("scores", [[0.5, 0.5], [0.0, 0.0, 0.0], [-1.0, 1.0, 1.0], [np.nan, 0.0, 1.0]])
    def test_what_is_no_probability_of_these_labels(self, scores: list[float]) -> None:
        with pytest.raises(ItemError) as caught:
            classify(("labels", NAMES), scores=np.array(scores))
        assert caught.value.code is Code.MODEL_FAILED

    def test_32_bit_probabilities_are_brought_to_one(self) -> None:
        scores = np.array([0.1, 0.2, 0.7], np.float32).astype(np.float64)
        assert sum(classify(scores=scores).probabilities) == pytest.approx(1.0, abs=1e-15)

    @given(st.lists(st.floats(-50, 50), min_size=1, max_size=30))
    def test_any_logits(self, logits: list[float]) -> None:
        answer = classify(("softmax", {}), scores=np.array(logits))
        assert sum(answer.probabilities) == pytest.approx(1.0)
        assert answer.confidence == max(answer.probabilities) == answer.by_label[answer.label]
        assert answer.labels[answer.index] == answer.label


class TestThreshold:
    def test_below_the_minimum(self) -> None:
        answer = classify(("labels", NAMES), ("threshold", {"minimum": 0.6, "otherwise": "c"}))
        assert (answer.label, answer.index) == ("c", 2)
        assert answer.confidence == pytest.approx(0.3)
        assert sum(answer.probabilities) == pytest.approx(1.0)

    def test_above_the_minimum(self) -> None:
        answer = classify(("labels", NAMES), ("threshold", {"minimum": 0.5, "otherwise": "c"}))
        assert answer.label == "b"

    def test_a_label_the_model_does_not_know(self) -> None:
        answer = classify(("labels", NAMES), ("threshold", {"minimum": 0.9, "otherwise": "?"}))
        assert (answer.label, answer.confidence, answer.index) == ("?", 0.0, -1)
        assert answer.by_label["?"] == 0.0
        assert sum(answer.probabilities) == pytest.approx(1.0)


class TestChoosing:
    def test_top_k_keeps_the_best(self) -> None:
        answer = classify(("labels", NAMES), ("top_k", {"k": 2}))
        assert answer.labels == ("b", "c")
        assert answer.classes == (1, 2)
        assert answer.label == "b"

    def test_filter_by_probability_and_label(self) -> None:
        assert classify(("labels", NAMES), ("filter", {"min_probability": 0.25})).labels == ("b", "c")
        assert classify(("labels", NAMES), ("filter", {"labels": ["a"]})).labels == ("a", "b")

    def test_sort(self) -> None:
        assert classify(("labels", NAMES), ("sort", {})).labels == ("b", "c", "a")
        names = {"names": ["z", "y", "x"]}
        assert classify(("labels", names), ("sort", {"by": "label"})).labels == ("x", "y", "z")

    def test_index_outlives_sorting(self) -> None:
        answer = classify(("labels", NAMES), ("sort", {}))
        assert (answer.label, answer.index, answer.classes) == ("b", 1, (1, 2, 0))


def test_a_classification_chain_ends_in_a_classification() -> None:
    assert build_chain("image-classification", [("softmax", {})], ASSETS).gives == "classification"
    assert build_chain("tabular", [], ASSETS).gives == "vector"
    with pytest.raises(SpecError, match="takes classification"):
        build_chain("tabular", [("top_k", {"k": 1})], ASSETS)

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from trireme_common.errors import Code, ItemError, SpecError, TriremeError
from trireme_common.repository import VersionFiles, scan
from trireme_common.tensors import Tensor, decode_tensors, encode_bytes, encode_tensors
from trireme_preprocess.bootstrap import run
from trireme_preprocess.preprocessor import PassThrough, Preprocessor, load

TABULAR = """\
name: m
task: tabular
inputs: [{name: x, datatype: FP32, shape: [-1, 3]}]
outputs: [{name: y, datatype: FP32, shape: [-1, 1]}]
preprocess:
  - standardize: {mean: [1, 2, 3], std: [1, 2, 4]}
"""
TEXT = """\
name: m
task: text-classification
inputs:
  - {name: ids, datatype: INT32, shape: [-1, -1]}
  - {name: counts, datatype: FP32, shape: [-1, -1]}
outputs: [{name: y, datatype: FP32, shape: [-1, 2]}]
preprocess:
  - normalize_text
  - char_ngrams: {vocabulary: grams.json, pad_to_multiple: 8}
"""


def version(root: Path, spec: str) -> VersionFiles:
    (root / "m" / "1").mkdir(parents=True, exist_ok=True)
    (root / "m" / "1" / "grams.json").write_text('["很", "好"]')
    (root / "m" / "model.yaml").write_text(spec)
    found = scan(root)
    assert not found.broken, found.broken
    return found.versions[0]


def text(value: bytes) -> Tensor:
    return Tensor("text", "BYTES", (1,), encode_bytes([value]))


def numbers(*values: float) -> Tensor:
    return Tensor.of("features", np.array([values], dtype=np.float64))


def refusal(preprocessor: object, item: Tensor) -> Code:
    with pytest.raises(TriremeError) as refused:
        preprocessor(item)  # type: ignore[operator]
    return refused.value.code


def test_numbers_become_the_models_input(tmp_path: Path) -> None:
    preprocessor = load(version(tmp_path, TABULAR))
    (tensor,) = preprocessor(numbers(2, 4, 7))
    assert (tensor.name, tensor.datatype, tensor.shape) == ("x", "FP32", (1, 3))
    assert tensor.array().tolist() == [[1, 1, 1]]
    assert preprocessor.descriptor.task == "tabular"
    assert preprocessor.descriptor.has_preprocess


def test_integers_are_numbers_too(tmp_path: Path) -> None:
    preprocessor = load(version(tmp_path, TABULAR))
    (tensor,) = preprocessor(Tensor.of("features", np.array([2, 4, 7], dtype=np.int64)))
    assert tensor.array().tolist() == [[1, 1, 1]]


def test_rows_of_numbers_that_cannot_be_used_are_refused(tmp_path: Path) -> None:
    preprocessor = load(version(tmp_path, TABULAR))
    assert refusal(preprocessor, numbers(1, 2)) is Code.WRONG_SHAPE
    for bad in (float("nan"), float("inf"), -float("inf")):
        assert refusal(preprocessor, numbers(1, bad, 2)) is Code.NON_FINITE_NUMBER
    assert refusal(preprocessor, text(b"1, 2, 3")) is Code.INVALID_ARGUMENT


def test_texts_that_cannot_be_used_are_refused(tmp_path: Path) -> None:
    preprocessor = load(version(tmp_path, TEXT))
    ids, counts = preprocessor(text("很好".encode()))
    assert (ids.name, ids.datatype, ids.shape) == ("ids", "INT32", (1, 8))
    assert counts.array().tolist() == [[1, 1, 0, 0, 0, 0, 0, 0]]
    for blank in ("", "  \t\n", "\u3000"):
        assert refusal(preprocessor, text(blank.encode())) is Code.BLANK_TEXT
    assert refusal(preprocessor, numbers(1.0)) is Code.INVALID_ARGUMENT
    two = Tensor("text", "BYTES", (2,), encode_bytes([b"a", b"b"]))
    assert refusal(preprocessor, two) is Code.WRONG_SHAPE
    assert refusal(preprocessor, Tensor("text", "BYTES", (1,), b"\xff")) is Code.INVALID_ARGUMENT
    preprocessor(text(b"\xff not utf-8"))


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (TABULAR.replace("standardize", "standardise"), "unknown preprocess step"),
        (TABULAR.replace("standardize: {mean: [1, 2, 3], std: [1, 2, 4]}", "decode_image"), "takes bytes"),
        (
            TEXT.replace("  - char_ngrams: {vocabulary: grams.json, pad_to_multiple: 8}\n", ""),
            "but the model takes 2 inputs|steps give text",
        ),
        (
            TABULAR.replace("[1, 2, 3]", "[1, 2]").replace("[1, 2, 4]", "[1, 2]"),
            "refuse a plain numbers item",
        ),
        (
            TABULAR.replace(
                "shape: [-1, 3]}]", "shape: [-1, 3]}, {name: z, datatype: FP32, shape: [-1, 3]}]"
            ),
            "but the model takes 2 inputs",
        ),
        (TEXT.replace("name: ids", "name: other"), "give no tensor 'other'"),
    ],
)
def test_steps_that_cannot_serve_the_model_are_refused_before_it_serves(
    tmp_path: Path, spec: str, expected: str
) -> None:
    with pytest.raises(SpecError, match=expected):
        load(version(tmp_path, spec))


def test_a_model_of_any_number_of_features_is_not_tried_out(tmp_path: Path) -> None:
    preprocessor = load(version(tmp_path, TABULAR.replace("[-1, 3]", "[-1, -1]")))
    assert preprocessor(numbers(2, 4, 7))[0].array().tolist() == [[1, 1, 1]]


def test_tensor_models_pass_through(tmp_path: Path) -> None:
    passing = load(version(tmp_path, "name: m\n"))
    assert isinstance(passing, PassThrough)
    assert not passing.descriptor.has_preprocess
    assert passing(numbers(1.0)) == [numbers(1.0)]


def test_an_item_is_one_tensor(tmp_path: Path) -> None:
    preprocessor = load(version(tmp_path, TABULAR))
    (tensor,) = decode_tensors(run(preprocessor, encode_tensors([numbers(2, 4, 7)])))
    assert tensor.name == "x"
    for payload in (
        encode_tensors([]),
        encode_tensors([numbers(1, 2, 3)] * 2),
        encode_tensors([Tensor("features", "FP64", (1, 0), b"")]),
    ):
        with pytest.raises(ItemError) as refused:
            run(preprocessor, payload)
        assert refused.value.code is Code.INVALID_ARGUMENT
    with pytest.raises(TriremeError):
        run(preprocessor, b"\xff\xff")


TOKENS = """\
name: m
task: text-embedding
inputs: [{name: input_ids, datatype: INT64, shape: [-1, -1]}]
outputs: [{name: y, datatype: FP32, shape: [-1, 2]}]
preprocess:
  - normalize_text
  - tokenize: {outputs: [input_ids], pad_to_multiple: 1}
"""


def tokens(*ids: int) -> Tensor:
    return Tensor.of("tokens", np.array(ids))


def test_token_ids_enter_the_chain_at_its_tokenizer(tmp_path: Path) -> None:
    files = version(tmp_path, TOKENS)
    tokenizer = Tokenizer(models.WordLevel({"[UNK]": 0, "good": 1, "bad": 2}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(files.directory / "tokenizer.json"))
    preprocessor = load(files)
    (of_ids,) = preprocessor(tokens(1, 2))
    assert [of_ids] == preprocessor(text(b" good  bad "))
    assert refusal(preprocessor, tokens(1, 3)) is Code.INVALID_ARGUMENT
    assert refusal(preprocessor, Tensor.of("tokens", np.array([1.0]))) is Code.INVALID_ARGUMENT
    assert refusal(preprocessor, Tensor.of("features", np.array([1]))) is Code.INVALID_ARGUMENT


def test_token_ids_are_refused_where_there_are_no_tokens(tmp_path: Path) -> None:
    preprocessor = load(version(tmp_path, TEXT))
    assert isinstance(preprocessor, Preprocessor)
    with pytest.raises(ItemError, match="tokenize"):
        preprocessor(tokens(1))

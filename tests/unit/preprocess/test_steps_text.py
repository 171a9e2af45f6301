"""normalize_text, char_ngrams and tokenize."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from trireme_common.errors import Code, ItemError, SpecError
from trireme_common.steps import Assets, Chain
from trireme_preprocess.steps import VOCABULARY
from trireme_preprocess.steps.token_ids import TokenFrame

ANY_TEXT = st.text(st.characters(), max_size=200)  # lone surrogates and controls among it
GRAMS = ["好", "不好", "酒店", "不", "a", "ab"]


def chain(directory: Path, name: str, **parameters: Any) -> Chain:
    return VOCABULARY.build([(name, parameters)], Assets(directory), "text")


def normalized(text: str, **parameters: Any) -> str:
    return str(chain(Path("."), "normalize_text", **parameters)(text))


@pytest.fixture(scope="module")
def version(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("version")
    (directory / "vocabulary.json").write_text(json.dumps(GRAMS), "utf-8")
    tokenizer = Tokenizer(
        models.WordLevel({"[PAD]": 3, "[UNK]": 0, "[CLS]": 1, "good": 2}, unk_token="[UNK]")
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(single="[CLS] $A", special_tokens=[("[CLS]", 1)])
    tokenizer.save(str(directory / "tokenizer.json"))
    (directory / "broken.json").write_text("{", "utf-8")
    (directory / "twice.json").write_text('["a", "a"]', "utf-8")
    (directory / "map.json").write_text('{"a": 1}', "utf-8")
    return directory


class TestNormalizeText:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("ＡＢＣ　１２３！", "ABC 123!"),
            ("  很\t好\r\n\n吧  ", "很 好 吧"),
            ("a\x00b\x07c\u200bd\ufeff", "abcd"),
            ("\ud83d坏", "\ufffd坏"),
            ("ﬁne", "fine"),
            ("\x00\u200b \t", ""),
        ],
    )
    def test_gives_one_spelling(self, text: str, expected: str) -> None:
        assert normalized(text) == expected

    def test_lower_cases_where_asked(self) -> None:
        assert normalized("GOOD Ｐrice") == "GOOD Price"
        assert normalized("GOOD Ｐrice", lowercase=True) == "good price"

    def test_reads_no_more_than_max_length(self) -> None:
        assert normalized("abcdef", max_length=3) == "abc"

    def test_refuses_a_long_text_where_told(self) -> None:
        with pytest.raises(ItemError) as caught:
            normalized("abcdef", max_length=3, long_text="refuse")
        assert caught.value.code is Code.TEXT_TOO_LONG
        assert "6 characters" in caught.value.detail

    @given(ANY_TEXT)
    def test_survives_any_text(self, text: str) -> None:
        clean = normalized(text, lowercase=True)
        assert clean == " ".join(clean.split())
        clean.encode()


class TestCharNgrams:
    def test_counts_known_ngrams(self, version: Path) -> None:
        tensors = chain(version, "char_ngrams", vocabulary="vocabulary.json", max=2, pad_to_multiple=8)(
            "好不好酒店"
        )
        assert tensors["ids"].dtype == np.int32
        assert tensors["counts"].dtype == np.float32
        assert tensors["ids"].tolist() == [1, 4, 2, 3, 0, 0, 0, 0]
        assert tensors["counts"].tolist() == [2, 1, 1, 1, 0, 0, 0, 0]

    def test_sublinear_counts(self, version: Path) -> None:
        step = chain(version, "char_ngrams", vocabulary="vocabulary.json", sublinear=True, pad_to_multiple=1)
        counts = step("好好好不")["counts"]
        np.testing.assert_allclose(counts, [1 + np.log(3), 1], rtol=1e-6)

    @pytest.mark.parametrize("text", ["", "xyz", "。"])
    def test_unknown_text_gives_padding(self, version: Path, text: str) -> None:
        tensors = chain(version, "char_ngrams", vocabulary="vocabulary.json", pad_to_multiple=4)(text)
        assert tensors["ids"].tolist() == [0, 0, 0, 0]
        assert tensors["counts"].tolist() == [0, 0, 0, 0]

    def test_truncates_or_refuses(self, version: Path) -> None:
        parameters = {"vocabulary": "vocabulary.json", "max_length": 2, "pad_to_multiple": 1}
        assert chain(version, "char_ngrams", **parameters)("好好不")["counts"].tolist() == [2]
        with pytest.raises(ItemError) as caught:
            chain(version, "char_ngrams", **parameters, long_text="refuse")("好好不")
        assert caught.value.code is Code.TEXT_TOO_LONG

    @pytest.mark.parametrize("asset", ["missing.json", "broken.json", "twice.json", "map.json", "../x.json"])
    def test_unusable_vocabulary(self, version: Path, asset: str) -> None:
        with pytest.raises(SpecError, match=asset.rsplit("/", maxsplit=1)[-1]):
            chain(version, "char_ngrams", vocabulary=asset)

    def test_min_over_max(self, version: Path) -> None:
        with pytest.raises(SpecError, match="min is larger than max"):
            chain(version, "char_ngrams", vocabulary="vocabulary.json", min=3, max=2)

    @given(text=ANY_TEXT)
    def test_survives_any_text(self, version: Path, text: str) -> None:
        tensors = chain(version, "char_ngrams", vocabulary="vocabulary.json", pad_to_multiple=16)(text)
        assert len(tensors["ids"]) == len(tensors["counts"])
        assert len(tensors["ids"]) % 16 == 0
        assert len(tensors["ids"]) > 0
        assert ((tensors["ids"] == 0) == (tensors["counts"] == 0)).all()


class TestTokenize:
    def test_pads_and_masks(self, version: Path) -> None:
        outputs = ["input_ids", "attention_mask", "token_type_ids"]
        tensors = chain(version, "tokenize", outputs=outputs, pad_to_multiple=4)("good bad")
        assert list(tensors) == outputs
        assert tensors["input_ids"].tolist() == [1, 2, 0, 3]
        assert tensors["attention_mask"].tolist() == [1, 1, 1, 0]
        assert tensors["token_type_ids"].tolist() == [0, 0, 0, 0]
        assert tensors["input_ids"].dtype == np.int64

    def test_datatype(self, version: Path) -> None:
        tensors = chain(version, "tokenize", outputs=["input_ids"], datatype="INT32")("good")
        assert tensors["input_ids"].dtype == np.int32

    def test_truncates_to_max_length(self, version: Path) -> None:
        tensors = chain(version, "tokenize", max_length=3, pad_to_multiple=16)("good good good good")
        assert tensors["input_ids"].tolist() == [1, 2, 2]

    def test_refuses_where_told(self, version: Path) -> None:
        refusing = chain(version, "tokenize", max_length=3, long_text="refuse")
        assert refusing("good good")["attention_mask"].sum() == 3
        with pytest.raises(ItemError) as caught:
            refusing("good good good")
        assert caught.value.code is Code.TEXT_TOO_LONG

    def test_cuts_by_characters_first(self, version: Path) -> None:
        tensors = chain(version, "tokenize", max_characters=4, pad_to_multiple=1)("good good")
        assert tensors["input_ids"].tolist() == [1, 2]

    def test_unusable_tokenizer(self, version: Path) -> None:
        with pytest.raises(SpecError, match="not a tokenizer"):
            chain(version, "tokenize", tokenizer="broken.json")

    @given(text=ANY_TEXT)
    def test_survives_any_text(self, version: Path, text: str) -> None:
        tensors = chain(version, "tokenize", max_length=32, pad_to_multiple=8)(text)
        assert len(tensors["input_ids"]) in (8, 16, 24, 32)
        assert tensors["attention_mask"][0] == 1


class TestTokenIds:
    OUTPUTS: ClassVar = ["input_ids", "attention_mask", "token_type_ids"]

    def ids(self, version: Path, *ids: int, **parameters: Any) -> dict[str, np.ndarray]:
        found = chain(version, "tokenize", outputs=self.OUTPUTS, pad_to_multiple=4, **parameters)(
            np.array(ids)
        )
        assert isinstance(found, dict)
        return found

    @pytest.mark.parametrize("given", [(2, 0), (1, 2, 0)])
    def test_are_what_their_text_is_with_and_without_special_tokens(
        self, version: Path, given: tuple[int, ...]
    ) -> None:
        of_text = chain(version, "tokenize", outputs=self.OUTPUTS, pad_to_multiple=4)("good bad")
        of_ids = self.ids(version, *given)
        assert list(of_ids) == list(of_text)
        for name, tensor in of_text.items():
            np.testing.assert_array_equal(of_ids[name], tensor)
            assert of_ids[name].dtype == tensor.dtype

    def test_between_two_special_tokens(self, version: Path) -> None:
        tokenizer = Tokenizer.from_file(str(version / "tokenizer.json"))
        tokenizer.post_processor = processors.TemplateProcessing(
            single="[CLS]:1 $A:0 [PAD]:1", special_tokens=[("[CLS]", 1), ("[PAD]", 3)]
        )
        frame = TokenFrame(tokenizer)
        whole = tokenizer.encode("good good")
        assert (whole.ids, whole.type_ids) == ([1, 2, 2, 3], [1, 0, 0, 1])
        for ids in ([2, 2], whole.ids):
            framed = frame.around(np.array(ids), None)
            assert (framed.ids, framed.type_ids) == (whole.ids, whole.type_ids)
        assert frame.around(np.array([2, 2, 2]), 3).ids == [1, 2, 3]

    @pytest.mark.parametrize("unknown", [4, -1, 2**32, 2**63 - 1])
    def test_an_id_that_the_tokenizer_does_not_have_is_named(self, version: Path, unknown: int) -> None:
        with pytest.raises(ItemError, match=rf"token id {unknown} at 1 ") as caught:
            self.ids(version, 2, unknown)
        assert caught.value.code is Code.INVALID_ARGUMENT

    def test_what_is_cut_off_is_not_looked_at(self, version: Path) -> None:
        assert self.ids(version, 2, 2, 999, max_length=3)["input_ids"].tolist() == [1, 2, 2]

    def test_special_tokens_alone_are_blank(self, version: Path) -> None:
        with pytest.raises(ItemError) as caught:
            self.ids(version, 1)
        assert caught.value.code is Code.BLANK_TEXT

    def test_too_many_are_cut_or_refused_like_a_text(self, version: Path) -> None:
        assert self.ids(version, 2, 2, 2, 2, max_length=3)["input_ids"].tolist() == [1, 2, 2]
        for ids in ([2, 2, 2], [2] * 1000):
            with pytest.raises(ItemError, match="takes 3") as caught:
                self.ids(version, *ids, max_length=3, long_text="refuse")
            assert caught.value.code is Code.TEXT_TOO_LONG

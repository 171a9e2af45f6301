from __future__ import annotations

import pytest

from trireme_common.errors import Code, TriremeError
from trireme_gateway.answers import Classification, Vector
from trireme_gateway.explanation import (
    MAX_PARTS,
    baseline_of,
    parts_of_text,
    rows_without,
    texts_without,
    weights,
)


def split(text: str) -> list[str]:
    return [text[part.start : part.end] for part in parts_of_text(text)]


class TestTexts:
    def test_words_and_single_characters_are_parts(self) -> None:
        assert split("A fine hotel, really!") == ["A", "fine", "hotel", "really"]
        assert split("酒店好, ok") == ["酒", "店", "好", "ok"]
        assert split("très bien") == ["très", "bien"]

    @pytest.mark.parametrize("text", ["", " ", "!?", "。"])
    def test_what_has_no_words_has_no_parts(self, text: str) -> None:
        assert split(text) == []

    def test_long_texts_have_longer_parts_that_cover_all_words(self) -> None:
        words = [f"w{number}" for number in range(3 * MAX_PARTS + 1)]
        found = split(" ".join(words))
        assert len(found) <= MAX_PARTS
        assert " ".join(found).split() == words

    def test_each_text_lacks_one_part(self) -> None:
        text = "very good hotel"
        assert texts_without(text, parts_of_text(text)) == [" good hotel", "very  hotel", "very good "]


class TestRows:
    def test_each_row_has_one_number_of_the_baseline(self) -> None:
        assert rows_without([1, 2, 3], [0, 9, 8]) == [[0, 2, 3], [1, 9, 3], [1, 2, 8]]

    def test_the_baseline_is_what_was_given_or_the_mean(self) -> None:
        assert baseline_of([[1.0, 2.0]], [5.0, 6.0]) == [5.0, 6.0]
        assert baseline_of([[1.0, 2.0], [3.0, 6.0]], None) == [2.0, 4.0]

    @pytest.mark.parametrize("rows", [[[1.0]], [[1.0], [1.0, 2.0]]])
    def test_without_a_baseline_there_must_be_several_equal_rows(self, rows: list[list[float]]) -> None:
        with pytest.raises(TriremeError, match="baseline"):
            baseline_of(rows, None)

    @pytest.mark.parametrize(
        ("row", "baseline", "code"),
        [
            ([1.0], [1.0, 2.0], Code.WRONG_SHAPE),
            ([0.0] * (MAX_PARTS + 1), [0.0] * (MAX_PARTS + 1), Code.INVALID_ARGUMENT),
        ],
    )
    def test_rows_that_cannot_be_compared(self, row: list[float], baseline: list[float], code: Code) -> None:
        with pytest.raises(TriremeError) as raised:
            rows_without(row, baseline)
        assert raised.value.code is code


class TestWeights:
    def test_of_a_label_are_falls_of_its_probability(self) -> None:
        whole = Classification(1, "good", 0.75, {"bad": 0.25, "good": 0.75})
        other = Classification(0, "bad", 0.5, {"bad": 0.5, "good": 0.5})
        assert weights(whole, [whole, other]) == [0.0, 0.25]

    def test_of_a_value_are_its_falls(self) -> None:
        assert weights(Vector([3.0]), [Vector([1.0]), Vector([4.0])]) == [2.0, -1.0]

    def test_several_values_are_not_explained(self) -> None:
        with pytest.raises(TriremeError, match="single values"):
            weights(Vector([1.0, 2.0]), [Vector([1.0, 2.0])])

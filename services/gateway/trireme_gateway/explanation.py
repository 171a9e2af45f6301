"""Which parts of an item its answer rests on: occlusion, one part left out at a time.

The weight of a part is the answer with the whole item less the answer without that part: of a text, the
probability of the label that the whole has (Li, Monroe, Jurafsky, "Understanding Neural Networks through
Representation Erasure", 2016); of a row of numbers, the value, where a number is left out by putting the
baseline's in its place. Weights of parts that say the same thing are small, because each alone is missed
little; they do not add up to the answer.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from trireme_common.errors import Code, TriremeError
from trireme_gateway.answers import Answer, Classification, Vector

MAX_PARTS = 32
"""Parts of one item at most, each a prediction; longer texts have longer parts."""

# A word, or one character of a script that is written without spaces.
_UNIT = re.compile(r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]|[^\W\u3040-\u9fff\uf900-\ufaff]+")


@dataclass(frozen=True, slots=True)
class Part:
    """Characters `start` to `end` of a text, or the number at `start` of a row."""

    start: int
    end: int


def parts_of_text(text: str) -> list[Part]:
    """Runs of words or characters that cover all of them, at most MAX_PARTS and as equal as can be."""
    units = [(found.start(), found.end()) for found in _UNIT.finditer(text)]
    size = -(-len(units) // MAX_PARTS) or 1
    groups = [units[at : at + size] for at in range(0, len(units), size)]
    return [Part(group[0][0], group[-1][1]) for group in groups]


def texts_without(text: str, parts: Sequence[Part]) -> list[str]:
    """The text without each of its parts."""
    return [text[: part.start] + text[part.end :] for part in parts]


def baseline_of(rows: Sequence[Sequence[float]], given: Sequence[float] | None) -> Sequence[float]:
    """What stands for a number that is left out: what the caller gave, else the mean of the rows.

    Raises TriremeError(INVALID_ARGUMENT) where there is neither.
    """
    if given is not None:
        return given
    if len(rows) < 2 or len({len(row) for row in rows}) != 1:
        raise TriremeError(
            Code.INVALID_ARGUMENT,
            "give a 'baseline', a row of numbers to compare with, or several instances of equal length, "
            "whose mean it will be",
        )
    return [sum(column) / len(rows) for column in zip(*rows, strict=True)]


def rows_without(row: Sequence[float], baseline: Sequence[float]) -> list[list[float]]:
    """The row with each of its numbers replaced by the baseline's. Raises TriremeError(WRONG_SHAPE)."""
    if len(row) != len(baseline):
        raise TriremeError(
            Code.WRONG_SHAPE, f"the baseline has {len(baseline)} numbers, an instance {len(row)}"
        )
    if len(row) > MAX_PARTS:
        raise TriremeError(
            Code.INVALID_ARGUMENT, f"rows of more than {MAX_PARTS} numbers are not explained; got {len(row)}"
        )
    return [[*row[:at], number, *row[at + 1 :]] for at, number in enumerate(baseline)]


def weights(whole: Answer, without: Sequence[Answer]) -> list[float]:
    """Weight of each part. Raises TriremeError(INVALID_ARGUMENT) for answers of several values."""
    return [_height(whole, whole) - _height(answer, whole) for answer in without]


def _height(answer: Answer, whole: Answer) -> float:
    match answer, whole:
        case Classification(), Classification():
            return answer.probabilities.get(whole.label, 0.0)
        case Vector(), Vector() if len(answer.values) == len(whole.values) == 1:
            return answer.values[0]
    raise TriremeError(Code.INVALID_ARGUMENT, "only labels and single values are explained")

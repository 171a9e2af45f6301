"""Text to the ids and counts of the character n-grams in it."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any, ClassVar, Self

import numpy as np
from pydantic import Field, model_validator

from trireme_common.errors import SpecError
from trireme_common.steps import Assets, StepFunction
from trireme_preprocess.steps.limits import TextLimit


class CharNgrams(TextLimit):
    """The distinct character n-grams of the text that the vocabulary knows, as tensors `ids`
    (INT32 [L]) and `counts` (FP32 [L]), in the order of their first occurrence.

    The vocabulary is a JSON list of n-grams; the n-gram at position i (from 0) has id i + 1. Id 0
    with count 0 is padding: L is padded to a multiple, and is never 0, not even for a text of which
    nothing is known."""

    name: ClassVar[str] = "char_ngrams"
    takes: ClassVar[tuple[str, ...]] = ("text",)
    gives: ClassVar[str | None] = "tensors"

    vocabulary: str = Field(description="JSON file with the list of n-grams, beside the model.")
    min: int = Field(default=1, ge=1, le=8, description="Shortest n-gram, in characters.")
    max: int = Field(default=3, ge=1, le=8, description="Longest n-gram, in characters.")
    max_length: int = Field(
        default=2048, ge=1, le=1_000_000, description="Characters of the text that are read."
    )
    pad_to_multiple: int = Field(
        default=64,
        ge=1,
        le=4096,
        description="L is padded to a multiple of this, so that texts share a batch.",
    )
    sublinear: bool = Field(default=False, description="Give 1 + ln(count) in place of the count.")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.min > self.max:
            raise ValueError("min is larger than max")
        return self

    def prepare(self, assets: Assets) -> StepFunction:
        lookup = self._ids(assets).get
        sizes = range(self.min, self.max + 1)
        multiple, sublinear = self.pad_to_multiple, self.sublinear

        def apply(text: str) -> dict[str, np.ndarray]:
            text = self.cut(text, self.max_length)
            found: Counter[Any] = Counter()  # id, or None for what the vocabulary lacks
            for size in sizes:
                found.update(map(lookup, [text[at : at + size] for at in range(len(text) - size + 1)]))
            found.pop(None, None)
            length = max(1, math.ceil(len(found) / multiple)) * multiple
            ids = np.zeros(length, np.int32)
            counts = np.zeros(length, np.float32)
            if found:
                ids[: len(found)] = np.fromiter(found.keys(), np.int32, len(found))
                counts[: len(found)] = np.fromiter(found.values(), np.float32, len(found))
                if sublinear:
                    counts[: len(found)] = 1.0 + np.log(counts[: len(found)])
            return {"ids": ids, "counts": counts}

        return apply

    def _ids(self, assets: Assets) -> dict[str, int]:
        grams = assets.json(self.vocabulary)
        if not isinstance(grams, list) or not all(isinstance(gram, str) and gram for gram in grams):
            raise SpecError(f"asset {self.vocabulary!r} must be a JSON list of n-grams")
        ids = {gram: position for position, gram in enumerate(grams, start=1)}
        if len(ids) != len(grams):
            raise SpecError(f"asset {self.vocabulary!r} lists an n-gram twice")
        return ids

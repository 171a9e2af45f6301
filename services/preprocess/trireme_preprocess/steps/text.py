"""Text to text: one spelling for what looks the same."""

from __future__ import annotations

import re
import unicodedata
from typing import ClassVar

from pydantic import Field

from trireme_common.steps import Assets, StepFunction
from trireme_preprocess.steps.limits import TextLimit

# C0 and C1 controls that are not white space, and marks that take no room on the screen.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\xad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff]"
)
_SURROGATE = re.compile("[\ud800-\udfff]")


class NormalizeText(TextLimit):
    """Unicode NFKC (full-width letters and digits become ordinary ones), invisible and control
    characters removed, runs of white space collapsed to one space, ends stripped."""

    name: ClassVar[str] = "normalize_text"
    takes: ClassVar[tuple[str, ...]] = ("text",)
    gives: ClassVar[str | None] = "text"

    lowercase: bool = Field(default=False, description="Also lower-case the text.")
    max_length: int | None = Field(
        default=None, ge=1, description="Characters of the raw text that are read; no limit by default."
    )

    def prepare(self, assets: Assets) -> StepFunction:
        lowercase, limit = self.lowercase, self.max_length
        invisible, surrogate, normalize = _INVISIBLE.sub, _SURROGATE.sub, unicodedata.normalize

        def apply(text: str) -> str:
            text = normalize("NFKC", self.cut(text, limit))
            text = " ".join(invisible("", surrogate("\ufffd", text)).split())
            return text.lower() if lowercase else text

        return apply

"""What a step does with a text longer than it takes."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from trireme_common.errors import Code, ItemError
from trireme_common.steps import Step

LongText = Literal["truncate", "refuse"]


class TextLimit(Step):
    """Base of the steps that can shorten a text; the service sets `long_text` from the model's limits."""

    long_text: LongText = Field(
        default="truncate",
        description="What happens to a text over the limit; set by `limits.long_text` of model.yaml.",
    )

    def cut(self, text: str, limit: int | None) -> str:
        """`text`, at most `limit` characters of it. Raises ItemError(TEXT_TOO_LONG) where told to refuse."""
        if limit is None or len(text) <= limit:
            return text
        self.refuse(f"the text has {len(text)} characters, the model takes {limit}")
        return text[:limit]

    def refuse(self, detail: str) -> None:
        """Raises ItemError(TEXT_TOO_LONG) unless over-long text is truncated."""
        if self.long_text == "refuse":
            raise ItemError(Code.TEXT_TOO_LONG, detail)

"""Token ids that a caller sends in place of a text, made into what the tokenizer makes of one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from tokenizers import Tokenizer

from trireme_common.errors import Code, ItemError


class Encoded(Protocol):
    """What a model reads of one text; `tokenizers.Encoding` is one. All of one length."""

    @property
    def ids(self) -> list[int]: ...

    @property
    def attention_mask(self) -> list[int]: ...

    @property
    def type_ids(self) -> list[int]: ...


@dataclass(frozen=True)
class FramedIds:
    """Ids between the tokenizer's special ones."""

    ids: list[int]
    type_ids: list[int]

    @property
    def attention_mask(self) -> list[int]:
        return [1] * len(self.ids)


class TokenFrame:
    """The special tokens that the tokenizer puts around a single text, found by asking it for one."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        """`tokenizer` without padding and truncation."""
        self._known = tokenizer.id_to_token
        probe = tokenizer.encode("a")
        marks, size = probe.special_tokens_mask, len(probe.ids)
        start = next((at for at, special in enumerate(marks) if not special), size)
        end = size - next((at for at, special in enumerate(reversed(marks)) if not special), 0)
        self._before, self._after = probe.ids[:start], probe.ids[end:]
        self._types = (probe.type_ids[:start], (probe.type_ids[start:end] or [0])[0], probe.type_ids[end:])

    @property
    def size(self) -> int:
        """Special tokens around a text."""
        return len(self._before) + len(self._after)

    def around(self, ids: np.ndarray, most: int | None) -> FramedIds:
        """`ids`, integers [k] that may have their frame already, in the frame; no more than `most` in
        all, and what is cut off is not looked at.

        Raises ItemError: INVALID_ARGUMENT for an id that the tokenizer does not have, BLANK_TEXT where
        there are none but the frame's.
        """
        start, stop = self._text_within(ids)
        if start == stop:
            raise ItemError(Code.BLANK_TEXT, "the token ids hold no text")
        if most is not None:
            stop = min(stop, start + max(0, most - self.size))
        body: list[int] = ids[start:stop].tolist()
        for at, token in enumerate(body, start):
            if not 0 <= token < 2**32 or self._known(token) is None:
                raise ItemError(
                    Code.INVALID_ARGUMENT, f"token id {token} at {at} is not in the model's vocabulary"
                )
        before, inner, after = self._types
        return FramedIds([*self._before, *body, *self._after], [*before, *[inner] * len(body), *after])

    def _text_within(self, ids: np.ndarray) -> tuple[int, int]:
        """Where the ids of the text itself begin and end."""
        start, stop = len(self._before), len(ids) - len(self._after)
        framed = ids[:start].tolist() == self._before and ids[max(0, stop) :].tolist() == self._after
        return (start, stop) if framed and start <= stop else (0, len(ids))

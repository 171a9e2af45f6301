"""Text to token ids, by a Hugging Face tokenizer file."""

from __future__ import annotations

import math
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field
from tokenizers import Tokenizer

from trireme_common.errors import SpecError
from trireme_common.steps import Assets, StepFunction
from trireme_preprocess.steps.limits import TextLimit
from trireme_preprocess.steps.token_ids import Encoded, TokenFrame

Output = Literal["input_ids", "attention_mask", "token_type_ids"]

_DTYPES = {"INT32": np.int32, "INT64": np.int64}
_PAD_TOKENS = ("[PAD]", "<pad>", "<|endoftext|>")


class Tokenize(TextLimit):
    """Token ids of the text with the tokenizer's special tokens, as tensors [L] named like the
    outputs asked for. Padding has the tokenizer's padding id and attention 0. A caller may send the
    tokenizer's ids in place of a text, with or without the special tokens: then the chain begins here."""

    name: ClassVar[str] = "tokenize"
    takes: ClassVar[tuple[str, ...]] = ("text",)
    gives: ClassVar[str | None] = "tensors"

    tokenizer: str = Field(default="tokenizer.json", description="Tokenizer file, beside the model.")
    max_length: int = Field(
        default=512, ge=2, le=1_000_000, description="Most tokens of a text, special tokens included."
    )
    max_characters: int = Field(
        default=100_000, ge=1, description="Characters of the text that reach the tokenizer at all."
    )
    pad_to_multiple: int = Field(
        default=16, ge=1, le=4096, description="L is padded to a multiple of this, at most to max_length."
    )
    outputs: Annotated[tuple[Output, ...], Field(strict=False, min_length=1)] = Field(
        default=("input_ids", "attention_mask"), description="The tensors to give."
    )
    datatype: Literal["INT32", "INT64"] = Field(default="INT64", description="Type of the tensors.")

    def prepare(self, assets: Assets) -> StepFunction:
        tokenizer = self._load(assets)
        padding_id = _padding_id(tokenizer)
        tokenizer.no_padding()
        tokenizer.no_truncation()
        frame = TokenFrame(tokenizer)
        most = self.max_length if self.long_text == "truncate" else None
        if most is not None:
            tokenizer.enable_truncation(most)

        def apply(item: str | np.ndarray) -> dict[str, np.ndarray]:
            encoded: Encoded
            if isinstance(item, str):
                encoded = tokenizer.encode(_sound(self.cut(item, self.max_characters)))
            else:
                if len(item) > self.max_length + frame.size:
                    self.refuse(f"the text has {len(item)} tokens, the model takes {self.max_length}")
                encoded = frame.around(item, most)
            return self._tensors(encoded, padding_id)

        return apply

    def _tensors(self, encoded: Encoded, padding_id: int) -> dict[str, np.ndarray]:
        """The outputs asked for, padded. Raises ItemError(TEXT_TOO_LONG) where told to refuse."""
        count = len(encoded.ids)
        if count > self.max_length:
            self.refuse(f"the text has {count} tokens, the model takes {self.max_length}")
        padded = max(1, math.ceil(count / self.pad_to_multiple)) * self.pad_to_multiple
        length = min(padded, self.max_length)
        tensors: dict[str, np.ndarray] = {}
        for output in self.outputs:
            tensor = np.full(length, padding_id if output == "input_ids" else 0, _DTYPES[self.datatype])
            tensor[:count] = _column(encoded, output)
            tensors[output] = tensor
        return tensors

    def _load(self, assets: Assets) -> Tokenizer:
        path = assets.path(self.tokenizer)
        try:
            return Tokenizer.from_file(str(path))
        except Exception as error:  # the Rust side raises bare Exception
            raise SpecError(f"asset {self.tokenizer!r} is not a tokenizer: {error}") from error


def _column(encoded: Encoded, output: Output) -> list[int]:
    if output == "input_ids":
        return encoded.ids
    return encoded.attention_mask if output == "attention_mask" else encoded.type_ids


def _padding_id(tokenizer: Tokenizer) -> int:
    if tokenizer.padding is not None:
        return int(tokenizer.padding["pad_id"])
    known = (tokenizer.token_to_id(token) for token in _PAD_TOKENS)
    return next((id_ for id_ in known if id_ is not None), 0)


def _sound(text: str) -> str:
    """`text` without lone surrogates, which have no UTF-8 form and would raise in the tokenizer."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text

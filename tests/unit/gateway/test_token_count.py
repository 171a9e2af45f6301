from __future__ import annotations

import numpy as np

from tests.support.hops import vector
from trireme_common.tensors import Tensor, encode_tensors
from trireme_gateway.answers import Vector, decode_answer
from trireme_gateway.token_count import count_tokens, with_tokens


def prepared(**arrays: list[int]) -> bytes:
    return encode_tensors(
        Tensor.of(name, np.array([values], dtype=np.int64)) for name, values in arrays.items()
    )


def test_padding_does_not_count() -> None:
    assert count_tokens(prepared(input_ids=[1, 7, 2, 0], attention_mask=[1, 1, 1, 0])) == 3


def test_without_a_mask_the_model_reads_every_id() -> None:
    assert count_tokens(prepared(input_ids=[1, 7, 2, 0])) == 4


def test_a_model_without_tokens_has_none() -> None:
    assert count_tokens(prepared(ids=[1, 2])) == 0


def test_the_count_joins_the_answer() -> None:
    assert decode_answer(with_tokens(vector([1.5, 2.5]), 7)) == Vector([1.5, 2.5], 7)
    assert decode_answer(with_tokens(vector([1.5]), 300)) == Vector([1.5], 300)
    assert decode_answer(vector([1.5])) == Vector([1.5], 0)

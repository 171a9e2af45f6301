from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.outcomes import result_or_refusal
from trireme_common.errors import Code, TriremeError
from trireme_gateway.answers import Classification, Vector, decode_answer
from trireme_protos.trireme.v1 import postprocess_pb2


def test_both_kinds() -> None:
    message = postprocess_pb2.Answer()
    message.classification.index = 1
    message.classification.label = "b"
    message.classification.confidence = 0.6
    message.classification.labels.extend(("b", "a"))
    message.classification.probabilities.extend((0.6, 0.4))
    answer = decode_answer(message.SerializeToString())
    assert answer == Classification(1, "b", 0.6, {"b": 0.6, "a": 0.4})
    assert isinstance(answer, Classification)
    assert list(answer.probabilities) == ["b", "a"]
    values = postprocess_pb2.Answer(vector=postprocess_pb2.Vector(values=[1.5, -2]))
    assert decode_answer(values.SerializeToString()) == Vector([1.5, -2])


def test_lists_that_do_not_pair_are_refused() -> None:
    message = postprocess_pb2.Answer()
    message.classification.labels.append("a")
    with pytest.raises(TriremeError) as refused:
        decode_answer(message.SerializeToString())
    assert refused.value.code is Code.INTERNAL


@given(st.binary(max_size=40))
def test_any_bytes_are_an_answer_or_an_internal_error(payload: bytes) -> None:
    found = result_or_refusal(lambda: decode_answer(payload))
    assert not isinstance(found, TriremeError) or found.code is Code.INTERNAL

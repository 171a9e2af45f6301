"""Long requests cut and put together, text included."""

import numpy as np
import pytest

from tests.support.inference_fakes import FakeCaller, Inbox, make_request
from trireme_common.errors import Code
from trireme_common.stage_state import TensorInfo
from trireme_common.tensors import decode_bytes, encode_bytes
from trireme_inference.requests import Answer, Request
from trireme_inference.signature import Signature
from trireme_inference.slicing import cut

TEXT = Signature((TensorInfo("t", "BYTES", (-1, 2)),), (TensorInfo("t", "BYTES", (-1, 2)),))


def test_a_request_that_fits_is_left_alone() -> None:
    request = make_request(Inbox(), [[1.0], [2.0]])
    assert cut(request, 2) == [request]


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 0, 1]])
def test_text_is_cut_by_rows_and_joined_in_order(order: list[int]) -> None:
    inbox = Inbox()
    texts = [f"文{number}".encode() for number in range(10)]
    whole = Request((encode_bytes(texts),), ((2,),), 5, 1e9, 0.0, TEXT, FakeCaller(), inbox)
    pieces = cut(whole, 2)
    assert [piece.rows for piece in pieces] == [2, 2, 1]
    assert [decode_bytes("t", piece.parts[0]) for piece in pieces] == [texts[:4], texts[4:8], texts[8:]]
    for at in order:
        piece = pieces[at]
        piece.sink.deliver([Answer(piece, piece.parts, ((piece.rows, 2),))])
    (answer,) = inbox.answers
    assert answer.request is whole
    assert answer.shapes == ((5, 2),)
    assert decode_bytes("t", bytes(answer.parts[0])) == texts


def test_rows_without_elements_are_cut_too() -> None:
    request = make_request(Inbox(), np.zeros((3, 0)).tolist())
    assert [piece.rows for piece in cut(request, 2)] == [2, 1]


def test_outputs_whose_shapes_differ_between_slices_cannot_be_joined() -> None:
    inbox = Inbox()
    pieces = cut(make_request(inbox, [[1.0], [2.0]]), 1)
    for columns, piece in enumerate(pieces, start=1):
        piece.sink.deliver([Answer(piece, (bytes(4 * columns),), ((1, columns),))])
    assert inbox.codes == [Code.MODEL_FAILED]


def test_slices_of_a_request_whose_caller_left_have_gone() -> None:
    caller = FakeCaller()
    pieces = cut(make_request(Inbox(), [[1.0], [2.0]], caller=caller), 1)
    caller.cancelled = True
    assert all(piece.gone(0.0) for piece in pieces)

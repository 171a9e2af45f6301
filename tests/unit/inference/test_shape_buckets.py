"""Padding and cutting back, and which requests share a run."""

import numpy as np
import pytest

from tests.support.inference_fakes import Inbox, make_request
from trireme_common.stage_state import TensorInfo
from trireme_inference.requests import Request, Shapes
from trireme_inference.shape_buckets import ShapeBuckets, pad_rows
from trireme_inference.signature import Signature

TEXT = ShapeBuckets((4, 8), (1, 1, None), (2, None))
"""ids [-1, -1], mask [-1, -1] and a picture [-1, 2]; scores [-1, 3, -1] and a label."""


@pytest.mark.parametrize(
    ("shapes", "run"),
    [
        (((1,), (1,), (2,)), ((4,), (4,), (2,))),
        (((4,), (4,), (2,)), ((4,), (4,), (2,))),
        (((5,), (5,), (2,)), ((8,), (8,), (2,))),
        (((9,), (9,), (2,)), ((9,), (9,), (2,))),
        (((3,), (5,), (2,)), ((3,), (5,), (2,))),
    ],
)
def test_the_length_is_raised_to_its_bucket_if_it_is_one_and_has_one(shapes: Shapes, run: Shapes) -> None:
    assert TEXT.padded(shapes) == run
    assert TEXT.padded(shapes) == run


def test_rows_are_padded_with_zeros_at_their_ends() -> None:
    joined = pad_rows([np.array([[1, 2]]), np.array([[3], [4]])], (3,))
    assert joined.tolist() == [[1, 2, 0], [3, 0, 0], [4, 0, 0]]


def ragged(inbox: Inbox, signature: Signature, rows: int, length: int) -> Request:
    return make_request(inbox, np.full((rows, length), length).tolist(), signature=signature)


def test_a_feed_is_padded_and_its_outputs_are_cut_back() -> None:
    signature = Signature(
        (TensorInfo("x", "FP32", (-1, -1)),),
        (TensorInfo("y", "FP32", (-1, 2, -1)), TensorInfo("label", "BYTES", (-1,))),
        buckets=ShapeBuckets((4,), (1,), (2, None)),
    )
    requests = [ragged(Inbox(), signature, rows, length) for rows, length in ((1, 2), (2, 4), (1, 3))]
    feed = signature.feed(requests)
    assert feed["x"].tolist() == [[2, 2, 0, 0], [4, 4, 4, 4], [4, 4, 4, 4], [3, 3, 3, 0]]
    twice = np.stack([feed["x"], -feed["x"]], axis=1)
    labels = np.array([b"a", b"b", b"c", b"d"], dtype=object)
    answers = signature.split([twice, labels], requests)
    assert [shapes for _, shapes in answers] == [((1, 2, 2), (1,)), ((2, 2, 4), (2,)), ((1, 2, 3), (1,))]
    for request, (parts, shapes) in zip(requests, answers, strict=True):
        (length,) = request.shapes[0]
        values = np.frombuffer(bytes(parts[0]), np.float32).reshape(shapes[0])
        assert (values == np.array([length, -length]).reshape(1, 2, 1)).all()
    assert [bytes(parts[1])[-1:] for parts, _ in answers] == [b"a", b"c", b"d"]


def test_a_batch_without_padding_is_fed_and_split_as_it_is() -> None:
    signature = Signature(
        (TensorInfo("x", "FP32", (-1, -1)),),
        (TensorInfo("y", "FP32", (-1, -1)),),
        buckets=ShapeBuckets((4,), (1,), (1,)),
    )
    requests = [ragged(Inbox(), signature, 1, 4) for _ in range(2)]
    feed = signature.feed(requests)["x"]
    assert feed.shape == (2, 4)
    assert [shapes for _, shapes in signature.split([feed], requests)] == [((1, 4),), ((1, 4),)]

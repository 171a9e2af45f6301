"""Buckets of models as they are loaded: on where padding keeps the answers, off with the reason elsewhere."""

import asyncio
from pathlib import Path

import numpy as np
import pytest

from tests.support import onnx_models
from tests.support.inference_fakes import Inbox, make_request
from tests.support.onnx_models import golden_of, write_version
from tests.unit.inference.test_loader import load
from trireme_common.repository import scan
from trireme_inference.backend import OpenOptions
from trireme_inference.bucket_trial import with_buckets
from trireme_inference.onnx_backend import open_onnx
from trireme_inference.shape_buckets import ShapeBuckets
from trireme_inference.signature import Signature, batches

BUCKETS = "batching: {shape_buckets: [4, 8, 4]}\n"
IDS = np.array([[3, 5, 7]])
MASK = np.ones_like(IDS)
NUMBERS = np.array([[1, 2, 3]], np.float32)


def encoder_golden(ids: np.ndarray = IDS) -> dict[str, np.ndarray]:
    table = np.sin(np.arange(48, dtype=np.float32)).reshape(16, 3)
    return {"tokens": table[ids], "pooled": table[ids].mean(axis=1)}


def tried(
    tmp_path: Path,
    model: bytes,
    golden: tuple[dict[str, np.ndarray], dict[str, np.ndarray]] | None,
    spec: str = BUCKETS,
) -> tuple[ShapeBuckets | None, str]:
    """The buckets that a version of `model` is given, and why it is given none."""
    written = None if golden is None else golden_of(*golden)
    directory = write_version(tmp_path, "m", 1, model, spec=spec, golden=written)
    (files,) = scan(tmp_path).versions
    backend = open_onnx(directory, OpenOptions())
    signature = Signature(backend.inputs, backend.outputs, batches(backend.inputs, backend.outputs))
    found, problem = with_buckets(signature, backend, files)
    return found.buckets, problem


def test_a_model_that_heeds_its_mask_has_buckets(tmp_path: Path) -> None:
    golden = ({"ids": IDS, "mask": MASK}, encoder_golden())
    assert tried(tmp_path, onnx_models.masked_encoder(), golden) == (
        ShapeBuckets((4, 8), (1, 1), (1, None)),
        "",
    )


def test_a_sum_does_not_change_with_zeros(tmp_path: Path) -> None:
    buckets, problem = tried(tmp_path, onnx_models.row_sum(), ({"x": NUMBERS}, {"y": np.float32([6])}))
    assert (buckets, problem) == (ShapeBuckets((4, 8), (1,), (None,)), "")


def test_a_golden_request_longer_than_every_bucket_is_tried_in_part(tmp_path: Path) -> None:
    golden = ({"x": np.ones((1, 20), np.float32)}, {"y": np.float32([20])})
    assert tried(tmp_path, onnx_models.row_sum(), golden) == (ShapeBuckets((4, 8), (1,), (None,)), "")


@pytest.mark.parametrize(
    ("model", "golden", "expected"),
    [
        (
            onnx_models.classifier(),
            ({"ids": IDS}, {"probabilities": np.ones((1, 3), np.float32)}),
            "output 'probabilities' of length 2 changes when it is padded to 4",
        ),
        (
            # Positive numbers alone would not show it.
            onnx_models.row_maximum(),
            ({"x": NUMBERS}, {"y": np.float32([3])}),
            "output 'y' of length 2 changes when it is padded to 4",
        ),
        (onnx_models.row_sum(), None, "golden.json"),
        (
            onnx_models.scale(2.0),
            ({"x": np.ones((1, 4), np.float32)}, {"y": np.ones((1, 4), np.float32)}),
            "no input has a free dimension beyond the batch",
        ),
        (
            onnx_models.masked_encoder(),
            ({"ids": IDS, "mask": MASK[:, :2]}, encoder_golden()),
            "the golden request's inputs differ in length",
        ),
    ],
)
def test_buckets_that_are_off_say_why(
    tmp_path: Path,
    model: bytes,
    golden: tuple[dict[str, np.ndarray], dict[str, np.ndarray]] | None,
    expected: str,
) -> None:
    buckets, problem = tried(tmp_path, model, golden)
    assert buckets is None
    assert expected in problem


def test_without_a_warm_up_nothing_is_tried(tmp_path: Path) -> None:
    golden = ({"x": NUMBERS}, {"y": np.float32([6])})
    buckets, problem = tried(tmp_path, onnx_models.row_sum(), golden, BUCKETS + "warmup: false\n")
    assert buckets is None
    assert "warm-up" in problem


async def test_lengths_of_one_bucket_share_a_run_of_a_loaded_model(tmp_path: Path) -> None:
    golden = golden_of({"ids": IDS, "mask": MASK}, encoder_golden())
    spec = BUCKETS + "instances: {isolation: thread}\n"
    write_version(tmp_path, "m", 1, onnx_models.masked_encoder(), spec=spec, golden=golden)
    servable = load(tmp_path)
    assert servable.notes == ""
    inbox = Inbox()
    requests = []
    for length in (1, 2, 3):
        request = make_request(inbox, [[0.0]], signature=servable.signature)
        ids = np.arange(length).reshape(1, length)
        request.parts = (ids.tobytes(), np.ones_like(ids).tobytes())
        request.shapes = ((length,), (length,))
        requests.append(request)
    servable.batcher.submit(requests)
    async with asyncio.timeout(10):
        while len(inbox.answers) < 3:
            await asyncio.sleep(0.001)
    assert len(inbox.calls) == 1
    assert [answer.shapes for answer in inbox.answers] == [((1, n, 3), (1, 3)) for n in (1, 2, 3)]
    np.testing.assert_allclose(
        inbox.values(requests[2]), encoder_golden(np.arange(3).reshape(1, 3))["tokens"], rtol=1e-5
    )
    await servable.close()

"""How far answers are apart, by task."""

import numpy as np
import pytest

from trireme_common.errors import Code, ItemError
from trireme_lab.optimization import agreement
from trireme_lab.optimization.agreement import Outputs
from trireme_lab.optimization.samples import Feeds


def _answers(*rows: list[float]) -> list[Outputs]:
    return [{"y": np.array([row], np.float32)} for row in rows]


def _argmax(outputs: Outputs) -> str:
    return str(outputs["y"].argmax())


def test_labels_that_changed() -> None:
    want, got = _answers([1, 0], [0, 1], [0, 1], [1, 0]), _answers([0.6, 0.4], [1, 0], [0, 2], [1, 0])

    found = agreement.measure("text-classification", want, got, _argmax)

    assert (found.items, found.labels_changed, found.loss) == (4, 1, 0.25)
    assert found.max_absolute == 1.0


def test_cosine_of_the_worst_embedding() -> None:
    found = agreement.measure("text-embedding", _answers([1, 0], [3, 4]), _answers([2, 0], [4, 3]), None)

    assert found.cosine == pytest.approx(0.96)
    assert found.loss == pytest.approx(0.04)


@pytest.mark.parametrize(
    ("got", "loss"),
    [([[10, 0], [5, 5]], 0.0), ([[10, 1], [5, 5]], 0.1), ([[10, float("nan")], [5, 5]], float("inf"))],
)
def test_tensors_by_their_scale(got: list[list[float]], loss: float) -> None:
    found = agreement.measure("tensor", _answers([10, 0], [5, 5]), _answers(*got), None)

    assert found.loss == pytest.approx(loss)


def test_an_answer_of_another_shape_is_infinitely_far() -> None:
    assert agreement.biggest_gap({"y": np.zeros(2)}, {"y": np.zeros(3)}) == float("inf")


def test_an_answer_that_postprocess_refuses() -> None:
    def refuse(_: object) -> None:
        raise ItemError(Code.MODEL_FAILED, "no probabilities")

    assert agreement.labeller(refuse)({"y": np.zeros((1, 2), np.float32)}) == "refused: no probabilities"


def test_neighbours() -> None:
    items: list[Feeds] = [{"x": np.full((1, 2), value, np.float32)} for value in (1, 2, 4)]

    def alone(feeds: Feeds) -> Outputs:
        return {"y": 2 * feeds["x"]}

    def mean(feeds: Feeds) -> Outputs:
        return {"y": feeds["x"] - feeds["x"].mean()}

    assert agreement.depends_on_neighbours(alone, items, 8) == 0.0
    assert agreement.depends_on_neighbours(mean, items, 8) == pytest.approx(5 / 3)


def test_batches_hold_one_shape() -> None:
    items: list[Feeds] = [{"x": np.zeros((1, size), np.float32)} for size in (3, 5, 3, 3, 3, 5)]

    found = agreement.batches(items, 3)

    assert [(len(batch), batch[0]["x"].shape[1]) for batch in found] == [(3, 3), (2, 3), (2, 5)]
    assert agreement.stacked(found[0])["x"].shape == (3, 3)

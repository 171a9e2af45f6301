"""Whether rows may share runs is found out before the model is READY."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

from tests.support import onnx_models
from tests.support.onnx_models import golden_of, write_version
from trireme_common.repository import scan
from trireme_common.stage_state import TensorInfo
from trireme_common.tensors import Array
from trireme_inference.backend import RunError
from trireme_inference.row_trial import depends_on_others, to_floats
from trireme_inference.signature import Signature
from trireme_inference.warm_up import first_runs, warm_up

Compute = Callable[..., Array]
ROW = np.array([[1, 2]], np.float32)

# y FP32 [N, 2] of x FP32 [N, 2].
ALONE: Mapping[str, Compute] = {
    "twice": lambda x: 2 * x,
    "softmax of a row": lambda x: np.exp(x) / np.exp(x).sum(axis=1, keepdims=True),
    "a kernel that rounds otherwise for two rows": lambda x: x * np.float32(1 + 1e-3 * (len(x) > 1)),
}
TOGETHER: Mapping[str, Compute] = {
    "mean": lambda x: x - x.mean(axis=0),
    "sum": lambda x: x + x.sum(axis=0),
    "largest": lambda x: x - x.max(axis=0),
    "smallest": lambda x: x - x.min(axis=0),
    "norm": lambda x: x / np.sqrt((x * x).sum()),
    "scale of an integer type": lambda x: np.round(x / (np.abs(x).max() / 127)) * (np.abs(x).max() / 127),
    "rows before": lambda x: x.cumsum(axis=0),
    "rows behind": lambda x: x[::-1].cumsum(axis=0)[::-1],
    "first row": lambda x: x - x[0],
    "number of rows": lambda x: x / len(x),
}


class Computed:
    """A backend that computes y of its inputs. `limits`, by input, are the values that it takes."""

    platform = "fake"
    device = "cpu"

    def __init__(
        self, compute: Compute, *inputs: TensorInfo, limits: tuple[float, float] | None = None
    ) -> None:
        self.inputs = inputs or (TensorInfo("x", "FP32", (-1, 2)),)
        self.outputs = (TensorInfo("y", self.inputs[0].datatype, (-1, 2)),)
        self.signature = Signature(self.inputs, self.outputs)
        self.runs: list[Mapping[str, Array]] = []
        self._compute, self._limits = compute, limits

    def run(self, feed: Mapping[str, Array], fetch: tuple[str, ...]) -> list[Array]:
        self.runs.append(feed)
        first = feed[self.inputs[0].name]
        if self._limits is not None and not ((first >= self._limits[0]) & (first <= self._limits[1])).all():
            raise RunError("the model failed on this input")
        return [self._compute(*feed.values())]

    def close(self) -> None:
        """Nothing is open."""


def problem_of(tmp_path: Path, backend: Computed, row: Array | None) -> str:
    """Of a version with a golden request of `row`, or with none."""
    golden = None if row is None else golden_of({"x": row}, {"y": backend.run({"x": row}, ("y",))[0]})
    write_version(tmp_path, "m", 1, onnx_models.scale(2.0), golden=golden)
    (files,) = scan(tmp_path).versions
    return warm_up(files, backend, backend.signature, []).problem


@pytest.mark.parametrize("row", [None, ROW, np.repeat(ROW, 20, axis=0)], ids=["none", "one row", "many"])
@pytest.mark.parametrize("kind", ALONE)
def test_rows_that_are_answered_alone_may_share_runs(tmp_path: Path, kind: str, row: Array | None) -> None:
    assert problem_of(tmp_path, Computed(ALONE[kind]), row) == ""


@pytest.mark.parametrize("row", [None, ROW, np.repeat(ROW, 20, axis=0)], ids=["none", "one row", "many"])
@pytest.mark.parametrize("kind", TOGETHER)
def test_rows_that_look_at_others_may_not(tmp_path: Path, kind: str, row: Array | None) -> None:
    assert "of a row depends on its neighbours" in problem_of(tmp_path, Computed(TOGETHER[kind]), row)


def test_a_trial_is_bounded(tmp_path: Path) -> None:
    backend = Computed(ALONE["twice"])
    problem_of(tmp_path, backend, np.repeat(ROW, 100, axis=0))
    golden, first, *trial = [len(run["x"]) for run in backend.runs]
    assert (golden, first) == (100, 100)
    assert trial == [16, 16, 16, 16]


def test_no_other_index_is_tried_than_those_given_and_0_and_1() -> None:
    info = TensorInfo("ids", "INT64", (-1, 2))
    backend = Computed(lambda ids: ids * 2, info)
    ids = np.array([[5, 7]])
    assert depends_on_others(backend, backend.signature, {"ids": ids}, [ids * 2]) == ""
    assert {int(value) for run in backend.runs for value in run["ids"].flat} == {0, 1, 5, 7}


@pytest.mark.parametrize("given", [0, 5])
def test_indices_show_what_looks_at_others(given: int) -> None:
    backend = Computed(lambda ids: ids + ids.sum(axis=0), TensorInfo("ids", "INT64", (-1, 2)))
    ids = np.full((1, 2), given)
    (alone,) = backend.run({"ids": ids}, ("y",))
    assert depends_on_others(backend, backend.signature, {"ids": ids}, [alone]) != ""


IDS, TYPES = TensorInfo("ids", "INT64", (-1, 2)), TensorInfo("types", "INT64", (-1, 2))


def tried(backend: Computed, name: str) -> set[int]:
    return {int(value) for run in backend.runs for value in run[name].flat}


@pytest.mark.parametrize("given", [True, False])
def test_where_one_input_was_given_as_0_throughout_it_stays_0(given: bool) -> None:
    backend = Computed(lambda ids, types: ids + types, IDS, TYPES)
    feed = {"ids": np.array([[5, 7]]), "types": np.array([[0, 0]])}
    assert depends_on_others(backend, backend.signature, feed, [feed["ids"]], given=given) == ""
    assert tried(backend, "ids") == {0, 1, 5, 7}
    assert tried(backend, "types") == ({0} if given else {0, 1})


def test_a_golden_request_was_given(tmp_path: Path) -> None:
    backend = Computed(lambda ids, types: ids + types, IDS, TYPES)
    feed = {"ids": np.array([[5, 7]]), "types": np.array([[0, 0]])}
    write_version(tmp_path, "m", 1, onnx_models.scale(2.0), golden=golden_of(feed, {"y": feed["ids"]}))
    (files,) = scan(tmp_path).versions
    assert warm_up(files, backend, backend.signature, []).problem == ""
    first_runs(files, backend)
    assert tried(backend, "types") == {0}


def test_where_all_was_given_as_0_another_index_is_tried() -> None:
    backend = Computed(lambda ids: ids + ids.sum(axis=0), IDS)
    ids = np.zeros((1, 2), np.int64)
    assert depends_on_others(backend, backend.signature, {"ids": ids}, [ids], given=True) != ""


def test_where_an_index_may_cost_too_much_no_new_one_is_tried() -> None:
    x = TensorInfo("x", "FP32", (-1, 2))
    feed = {"x": ROW, "ids": np.array([[5, 0]])}
    backend = Computed(lambda x, ids: x, x, IDS)
    assert depends_on_others(backend, backend.signature, feed, [ROW], new_indices=False) == ""
    assert tried(backend, "ids") == {0, 5}
    largest = Computed(lambda x, ids: x - x.max(axis=0), x, IDS)
    alone = largest.run(feed, ("y",))
    assert "neighbours" in depends_on_others(largest, largest.signature, feed, alone, new_indices=False)


def test_rows_that_the_model_does_not_take_are_passed_over() -> None:
    info = TensorInfo("x", "FP32", (-1, 2))
    alone = Computed(ALONE["twice"], info, limits=(1, 2))
    assert depends_on_others(alone, alone.signature, {"x": ROW}, [ROW * 2]) == ""
    together = Computed(TOGETHER["sum"], info, limits=(1, 2))
    assert depends_on_others(together, together.signature, {"x": ROW}, [ROW * 2]) != ""


def test_a_model_that_fails_on_twice_the_rows_runs_alone() -> None:
    def one(x: Array) -> Array:
        if len(x) > 1:
            raise RunError("the model failed on this input")
        return x

    backend = Computed(one)
    assert depends_on_others(backend, backend.signature, {"x": ROW}, [ROW]) == "the model fails on 2 rows"


def test_texts_stand_beside_themselves_and_empty_ones() -> None:
    info = TensorInfo("x", "BYTES", (-1, 2))
    text = np.array([[b"a", b"b"]], dtype=object)
    alone = Computed(lambda x: x, info)
    assert depends_on_others(alone, alone.signature, {"x": text}, [text]) == ""
    first = Computed(lambda x: np.repeat(x[:1], len(x), axis=0), info)
    assert "neighbours" in depends_on_others(first, first.signature, {"x": text}, [text])


@pytest.mark.parametrize("datatype", ["FP16", "BF16", "FP64"])
def test_every_float_is_tried_and_rounding_is_not_taken_for_dependence(datatype: str) -> None:
    info = TensorInfo("x", datatype, (-1, 2))

    def numbers(x: Array) -> Array:
        wide = (x.astype(np.uint32) << 16).view(np.float32) if datatype == "BF16" else x
        return wide.astype(np.float64)

    def rounded(x: Array) -> Array:
        step = {"FP16": 1e-3, "BF16": 8e-3, "FP64": 0.0}[datatype]
        return to_floats(info, numbers(x) * (1 + step * (len(x) > 1)))

    row = to_floats(info, np.array([[3.0, -5.0]]))
    alone = Computed(rounded, info)
    assert depends_on_others(alone, alone.signature, {"x": row}, [row]) == ""
    assert len({run["x"].tobytes() for run in alone.runs}) == 4
    mean = Computed(lambda x: to_floats(info, numbers(x) - numbers(x).mean(axis=0)), info)
    assert "neighbours" in depends_on_others(mean, mean.signature, {"x": row}, mean.run({"x": row}, ("y",)))


def test_numbers_at_the_end_of_their_range_stay_in_it() -> None:
    info = TensorInfo("x", "FP32", (-1, 2))
    row = np.array([[np.finfo(np.float32).max, np.nan]], np.float32)
    backend = Computed(lambda x: x, info)
    assert depends_on_others(backend, backend.signature, {"x": row}, [row]) == ""
    assert all(np.isfinite(run["x"][:, 0]).all() for run in backend.runs)


def test_a_model_that_takes_no_random_floats_is_tried_with_zeros(tmp_path: Path) -> None:
    backend = Computed(ALONE["twice"], limits=(0, 0))
    assert problem_of(tmp_path, backend, None) == ""
    assert [run["x"].any() for run in backend.runs[:2]] == [True, False]

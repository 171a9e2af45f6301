"""When a model runs by a graph, what stands in its padding, and what runs without one: on the CPU, where a
graph is the call itself on memory that stays."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from trireme_inference.cuda_graphs import Call, CudaGraphs, Graph, padded_shape


class Memory:
    """A device whose graphs read fixed memory, as CUDA's do; it notes what ran."""

    def __init__(self) -> None:
        self.captured: list[tuple[int, ...]] = []
        self.replayed: list[list[list[float]]] = []
        self.tries = 0

    def upload(self, tensors: Sequence[Tensor]) -> Sequence[Tensor]:
        return [tensor.clone() for tensor in tensors]

    def download(self, tensors: Sequence[Tensor]) -> Sequence[Tensor]:
        return [tensor.clone() for tensor in tensors]

    def warm_up(self, call: Call, inputs: Sequence[Tensor]) -> Sequence[Tensor]:
        return call(inputs)

    def capture(self, call: Call, inputs: Sequence[Tensor]) -> Graph:
        self.tries += 1
        self.captured.append(tuple(inputs[0].shape))

        def replay() -> Sequence[Tensor]:
            self.replayed.append(inputs[0].tolist())
            return call(inputs)

        return replay


class Uncapturable(Memory):
    def capture(self, call: Call, inputs: Sequence[Tensor]) -> Graph:
        self.tries += 1
        raise RuntimeError("CUDA error: operation not permitted when stream is capturing")


def rows(*values: float) -> list[Tensor]:
    return [torch.tensor([[value, value] for value in values], dtype=torch.float32)]


def twice(tensors: Sequence[Tensor]) -> Sequence[Tensor]:
    return [tensors[0] * 2]


def mean(tensors: Sequence[Tensor]) -> Sequence[Tensor]:
    """Every row depends on all of them."""
    return [tensors[0] * 0 + tensors[0].mean(dim=0, keepdim=True)]


def counted(tensors: Sequence[Tensor]) -> Sequence[Tensor]:
    """Every row depends on how many there are."""
    return [tensors[0] * len(tensors[0])]


def tripled(tensors: Sequence[Tensor]) -> Sequence[Tensor]:
    return [tensors[0].repeat_interleave(3, dim=0)]


def answered(graphs: CudaGraphs, host: Sequence[Tensor]) -> Tensor:
    answers = graphs.run(host)
    assert answers is not None
    return answers[0]


@pytest.mark.parametrize(("count", "expected"), [(1, 1), (2, 2), (3, 4), (4, 4), (5, 8), (33, 64)])
def test_rows_are_padded_to_powers_of_two(count: int, expected: int) -> None:
    assert padded_shape((count, 7)) == (expected, 7)


def test_one_graph_serves_every_count_up_to_its_own() -> None:
    memory = Memory()
    graphs = CudaGraphs(twice, memory, pad=True)
    for values in ((1.0, 2.0, 3.0), (4.0, 5.0, 6.0, 7.0), (8.0, 9.0, 10.0)):
        assert answered(graphs, rows(*values)).tolist() == [[2 * value] * 2 for value in values]
    assert memory.captured == [(4, 2)]


def test_no_row_of_another_caller_is_left_in_the_padding() -> None:
    memory = Memory()
    graphs = CudaGraphs(twice, memory, pad=True)
    answered(graphs, rows(1, 2, 3, 4))
    answered(graphs, rows(5, 6, 7))
    assert memory.replayed[1] == [[5, 5], [6, 6], [7, 7], [0, 0]]


def test_without_padding_every_count_has_a_graph_of_its_own() -> None:
    memory = Memory()
    graphs = CudaGraphs(mean, memory, pad=False)
    assert answered(graphs, rows(1, 2, 3)).tolist() == [[2, 2]] * 3
    assert memory.captured == [(3, 2)]


@pytest.mark.parametrize("call", [mean, counted])
def test_padding_ends_where_it_changes_an_answer(call: Call) -> None:
    memory = Memory()
    graphs = CudaGraphs(call, memory, pad=True)
    for host in (rows(1, 2, 3), rows(1, 2, 6)):
        assert answered(graphs, host).tolist() == call(host)[0].tolist()
    assert memory.captured == [(4, 2), (3, 2)]


def test_one_part_of_many_that_changes_is_seen() -> None:
    graphs = CudaGraphs(mean, Memory(), pad=True)
    for host in (rows(*range(1, 64)), rows(*range(1, 34))):
        assert answered(graphs, host).tolist() == mean(host)[0].tolist()


def test_rounding_of_another_shape_leaves_padding_as_it_is() -> None:
    def rounded(tensors: Sequence[Tensor]) -> Sequence[Tensor]:
        return [tensors[0] * (1.01 if len(tensors[0]) == 4 else 1)]

    memory = Memory()
    graphs = CudaGraphs(rounded, memory, pad=True)
    for values in ((1.0, 2.0, 3.0), (4.0, 5.0, 6.0)):
        answered(graphs, rows(*values))
    assert memory.captured == [(4, 2)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.uint16, torch.bool])
def test_every_type_and_what_is_no_number_may_be_padded(dtype: torch.dtype) -> None:
    values = [[1, math.nan], [math.inf, 2], [0, 1]] if dtype.is_floating_point else [[1, 0], [0, 1], [1, 1]]
    memory = Memory()
    graphs = CudaGraphs(lambda tensors: [tensors[0].clone()], memory, pad=True)
    host = torch.tensor(values, dtype=torch.float32).to(dtype)
    for _ in range(2):
        assert repr(answered(graphs, [host]).tolist()) == repr(host.tolist())
    assert memory.captured == [(4, 2)]


def test_rows_of_zeros_say_nothing_of_padding() -> None:
    graphs = CudaGraphs(mean, Memory(), pad=True)
    assert answered(graphs, rows(0, 0, 0)).tolist() == [[0, 0]] * 3
    assert answered(graphs, rows(1, 2, 3)).tolist() == [[2, 2]] * 3


def test_a_model_of_other_rows_runs_without_a_graph() -> None:
    memory = Memory()
    graphs = CudaGraphs(tripled, memory, pad=True)
    assert graphs.run(rows(1, 2, 3)) is None
    assert memory.tries == 0
    assert answered(CudaGraphs(tripled, memory, pad=False), rows(1, 2, 3)).shape == (9, 2)


def test_tensors_without_dimensions_run_by_a_graph_too() -> None:
    graphs = CudaGraphs(twice, Memory(), pad=False)
    for value in (1.5, 2.5):
        assert answered(graphs, [torch.tensor(value)]).item() == 2 * value


def test_what_no_graph_can_hold_is_tried_once() -> None:
    memory = Uncapturable()
    graphs = CudaGraphs(twice, memory, pad=True)
    assert [graphs.run(rows(*values)) for values in ((1.0,), (1.0,), (1.0, 2.0))] == [None] * 3
    assert memory.tries == 1


def test_a_shape_that_the_model_refuses_leaves_the_others_their_graphs() -> None:
    def at_most_three(tensors: Sequence[Tensor]) -> Sequence[Tensor]:
        if len(tensors[0]) > 3:
            raise RuntimeError("the program takes 1 to 3 rows")
        return twice(tensors)

    graphs = CudaGraphs(at_most_three, Memory(), pad=True)
    assert graphs.run(rows(1, 2, 3)) is None
    assert answered(graphs, rows(1, 2)).tolist() == [[2, 2], [4, 4]]


def test_shapes_beyond_the_first_64_run_without_a_graph() -> None:
    memory = Memory()
    graphs = CudaGraphs(twice, memory, pad=False)
    given = [graphs.run([torch.ones(count, 1)]) for count in range(1, 67)]
    assert [answer is None for answer in given] == [False] * 64 + [True] * 2

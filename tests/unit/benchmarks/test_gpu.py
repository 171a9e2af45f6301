"""The GPU's table, its script run on the CPU with the smallest sizes."""

import numpy as np
import pytest
import torch
from torch import nn

from benchmarks.accelerator.nvml import watched
from benchmarks.accelerator.raw import Rate, onnx_rates, torch_rates
from benchmarks.gpu import Plan, measure, table
from tests.support.platform import ROOT


class Tiny(nn.Module):
    """UINT8 [N, 1, 4, 4] to FP32 [N, 3], in the type of its weights."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(16, 3)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        answer: torch.Tensor = self.layer(image.flatten(1).to(self.layer.weight.dtype)).float()
        return answer


SMALL = Plan("cpu", Tiny, (1, 4, 4), 3, ("fp32", "bf16"), (1, 4), 0.02, (1, 2), (2,), 4)


def test_the_cpu_goes_through_all_of_it() -> None:
    rates = measure(SMALL)
    raw, through = rates[:8], rates[8:]
    assert {(rate.precision, rate.rows) for rate in raw} == {
        (precision, rows) for precision in ("fp32", "bf16") for rows in (1, 4)
    }
    assert {rate.runtime for rate in through} == {"served, 2 requests under way, as it comes"}
    assert [(rate.precision, rate.rows) for rate in through] == [
        ("fp32", 1), ("fp32", 2), ("bf16", 1), ("bf16", 2)
    ]  # fmt: skip
    assert all(rate.items_per_second > 0 and rate.busy_percent is None for rate in rates)


def test_onnx_runtime_is_measured_on_the_same_items() -> None:
    images = np.zeros((1, 1, 20, 20), np.uint8)
    (rate,) = onnx_rates(ROOT / "models/digits/1/model.onnx", images, "cpu", (4,), 0.01)
    assert (rate.precision, rate.rows) == ("fp32", 4)
    assert rate.items_per_second > 0


def test_bf16_runs_in_its_own_type() -> None:
    network = Tiny()
    (rate,) = torch_rates(network, SMALL.images(), "cpu", "bf16", (3,), 0.01, from_host=True)
    assert (rate.precision, rate.rows) == ("bf16", 3)
    assert network.layer.weight.dtype == torch.bfloat16


def test_fp32_is_not_rounded_to_tf32() -> None:
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = True
    torch_rates(Tiny(), SMALL.images(), "cpu", "fp32", (1,), 0.01, from_host=False)
    assert not torch.backends.cudnn.allow_tf32
    assert not torch.backends.cuda.matmul.allow_tf32


def test_shares_are_of_the_best_raw_rate_in_that_precision() -> None:
    shown = table(
        [
            Rate("torch 2", "fp32", 1, 100.0, 40.0),
            Rate("torch 2", "fp32", 8, 400.0, 90.4),
            Rate("torch 2, from host memory", "fp32", 8, 800.0, None),
            Rate("served", "fp32", 8, 300.0, None),
            Rate("served", "bf16", 8, 1300.0, None),
        ]
    ).splitlines()
    assert shown[2:] == [
        "| torch 2 | fp32 | 1 | 100 | 40% | 0.25 |",
        "| torch 2 | fp32 | 8 | 400 | 90% | 1.00 |",
        "| torch 2, from host memory | fp32 | 8 | 800 |  | 2.00 |",
        "| served | fp32 | 8 | 300 |  | 0.75 |",
        "| served | bf16 | 8 | 1,300 |  |  |",
    ]


def test_without_nvml_nothing_is_said_of_the_gpu() -> None:
    with watched(0) as utilisation:
        pass
    assert utilisation.percent is None or utilisation.percent == pytest.approx(50, abs=50)

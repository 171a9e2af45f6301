"""Trains the diabetes regression: ten unscaled numbers to a measure of disease progression.

Split: the 442 rows of scikit-learn's set, permuted by numpy's PCG64 with seed 7; the first 20% are
the test rows, the next 20% validate, the rest train. The numbers are standardised by the preprocess
steps of model.yaml, whose mean and std come from the training rows. The model is a linear part
beside a small network on the same numbers, its answer in the original unit.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from sklearn.datasets import load_diabetes
from torch import Tensor, nn

from trireme_lab import export, folder, report, training

HERE = Path(__file__).resolve().parent
SEED = 7
BAR = 0.4
TOLERANCE = 1e-3  # the answer is around 150


@dataclass(frozen=True)
class Split:
    """Row numbers of each part."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


class Regression(nn.Module):
    """FP32 [N, 10] standardised numbers to FP32 [N, 1] in the original unit."""

    def __init__(self, mean: float, std: float) -> None:
        super().__init__()
        self.linear = nn.Linear(10, 1)
        self.network = nn.Sequential(nn.Linear(10, 16), nn.Tanh(), nn.Dropout(0.2), nn.Linear(16, 1))
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32))
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32))

    def forward(self, numbers: Tensor) -> Tensor:
        return (self.linear(numbers) + self.network(numbers)) * self.std + self.mean


def split(rows: int) -> Split:
    """The fixed parts of the set."""
    order = np.random.Generator(np.random.PCG64(SEED)).permutation(rows)
    fifth = rows // 5
    return Split(train=order[2 * fifth :], validation=order[fifth : 2 * fifth], test=order[:fifth])


def load() -> tuple[np.ndarray, np.ndarray]:
    """Numbers [442, 10], unscaled, and targets [442]."""
    data = load_diabetes(scaled=False)
    return data.data.astype(np.float64), data.target.astype(np.float64)


def tensors(output: Path, rows: np.ndarray) -> Tensor:
    """The rows as the preprocess service would make them."""
    chain = folder.ModelFolder(output).preprocess()
    return torch.from_numpy(np.stack([chain(row)["input"] for row in rows]))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=HERE, help="model directory to write")
    output: Path = parser.parse_args().output
    console = Console()
    version = folder.prepare_output(HERE, output)
    training.seed_everything(SEED, threads=1)

    rows, targets = load()
    parts = split(len(rows))
    mean, std = rows[parts.train].mean(axis=0), rows[parts.train].std(axis=0)
    folder.set_values(output, {"mean": mean.round(6).tolist(), "std": std.round(6).tolist()})
    numbers = tensors(output, rows)
    goal = torch.from_numpy(targets.astype(np.float32)).unsqueeze(1)

    model = Regression(float(targets[parts.train].mean()), float(targets[parts.train].std()))
    fitted = fit(model, numbers, goal, parts, console)

    with torch.no_grad():
        predicted = model(numbers[parts.test])
    export.to_onnx(
        model, {"input": numbers[:2]}, ["value"], version / "model.onnx", dynamic={"input": {0: "batch"}}
    )
    golden = {"input": numbers[parts.test[:4]].numpy()}
    export.write_golden(output / "golden.json", golden, {"value": predicted[:4].numpy()}, TOLERANCE)
    export.check_golden(output / "golden.json", version / "model.onnx")
    export.check_batches(model, version / "model.onnx", {"input": numbers.numpy()}, TOLERANCE)
    folder.set_digests(output)

    served = np.array([answer[0] for answer in folder.ModelFolder(output).answers(rows[parts.test])])
    metrics = report.regression_metrics(targets[parts.test], served)
    constant = np.full(len(parts.test), targets[parts.train].mean())
    folder.write_quality(
        version / "quality.json",
        {
            "task": "tabular",
            "trained_on": "scikit-learn's diabetes set, unscaled",
            "dataset": {"rows": len(rows)},
            "split": {
                "rule": "numpy PCG64(seed).permutation(442): first 20% test, next 20% validation",
                "train": len(parts.train),
                "validation": len(parts.validation),
                "test": len(parts.test),
            },
            "seed": SEED,
            "metrics": metrics,
            "baseline": {"predicting the mean": report.regression_metrics(targets[parts.test], constant)},
            "epochs": fitted.best_epoch,
            "torch": torch.__version__,
            "parameters": sum(parameter.numel() for parameter in model.parameters()),
        },
    )
    report.print_figures(console, "tabular, test rows", {**metrics, "epochs": fitted.best_epoch})
    if metrics["r2"] < BAR:
        console.print(f"R2 {metrics['r2']:.4f} misses the bar of {BAR}")
        return 1
    return 0


def fit(model: Regression, numbers: Tensor, goal: Tensor, parts: Split, console: Console) -> training.Fitted:
    """Trains on squared error, in units of the target's standard deviation."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3, weight_decay=1e-2)
    generator = torch.Generator().manual_seed(SEED)

    def loss(part: np.ndarray) -> Tensor:
        return nn.functional.mse_loss(model(numbers[part]) / model.std, goal[part] / model.std)

    def train_epoch(_: int) -> float:
        total = 0.0
        for batch in training.batches(len(parts.train), 32, generator):
            optimizer.zero_grad()
            value = loss(parts.train[batch.numpy()])
            value.backward()
            optimizer.step()
            total += value.item() * len(batch)
        return total / len(parts.train)

    return training.fit(
        model,
        train_epoch,
        lambda: loss(parts.validation).item(),
        max_epochs=200,
        patience=30,
        console=console,
        title="tabular",
    )


if __name__ == "__main__":
    sys.exit(main())

"""The figures of a trained model, as a table and as the numbers of quality.json."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from rich.console import Console
from rich.table import Table
from sklearn.metrics import (
    accuracy_score,
    mean_absolute_error,
    precision_recall_fscore_support,
    r2_score,
)


def classification_metrics(truth: Sequence[int], predicted: Sequence[int]) -> dict[str, float]:
    """Accuracy and macro precision, recall and F1."""
    precision, recall, f1, _ = precision_recall_fscore_support(
        truth, predicted, average="macro", zero_division=0.0
    )
    return _rounded(
        {
            "accuracy": accuracy_score(truth, predicted),
            "macro_precision": precision,
            "macro_recall": recall,
            "macro_f1": f1,
        }
    )


def regression_metrics(truth: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """R2 and mean absolute error."""
    return _rounded({"r2": r2_score(truth, predicted), "mae": mean_absolute_error(truth, predicted)})


def print_classification(
    console: Console, title: str, truth: Sequence[int], predicted: Sequence[int], labels: Sequence[str]
) -> None:
    """A row for every class, then the macro means and the accuracy."""
    table = Table(title=title)
    for heading in ("class", "precision", "recall", "F1", "items"):
        table.add_column(heading, justify="left" if heading == "class" else "right")
    classes = list(range(len(labels)))
    precision, recall, f1, support = precision_recall_fscore_support(
        truth, predicted, labels=classes, zero_division=0.0
    )
    for at, label in enumerate(labels):
        table.add_row(label, *(f"{column[at]:.4f}" for column in (precision, recall, f1)), str(support[at]))
    table.add_section()
    metrics = classification_metrics(truth, predicted)
    macro = (metrics["macro_precision"], metrics["macro_recall"], metrics["macro_f1"])
    table.add_row("macro mean", *(f"{value:.4f}" for value in macro), str(len(truth)))
    table.add_row("accuracy", "", "", f"{metrics['accuracy']:.4f}", str(len(truth)))
    console.print(table)


def print_figures(console: Console, title: str, figures: Mapping[str, float | int | str]) -> None:
    """Two columns: what, how much."""
    table = Table(title=title)
    table.add_column("figure")
    table.add_column("value", justify="right")
    for name, value in figures.items():
        table.add_row(name, f"{value:.4f}" if isinstance(value, float) else str(value))
    console.print(table)


def _rounded(metrics: Mapping[str, float]) -> dict[str, float]:
    return {name: round(float(value), 6) for name, value in metrics.items()}

"""A seeded training loop that stops when the validation part gets no better."""

from __future__ import annotations

import copy
import os
import random
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from torch import Tensor, nn

TrainEpoch = Callable[[int], float]
ValidationLoss = Callable[[], float]


@dataclass(frozen=True)
class Fitted:
    """What a training run came to; the module holds the weights of its best epoch."""

    epochs: int
    best_epoch: int
    validation_loss: float


def seed_everything(seed: int, threads: int = 2) -> None:
    """Same seed, same machine: same weights. The number of threads is part of that promise, as the
    order of a float sum depends on it."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(min(threads, os.cpu_count() or 1))


def fit(
    model: nn.Module,
    train_epoch: TrainEpoch,
    validation_loss: ValidationLoss,
    *,
    max_epochs: int,
    patience: int,
    console: Console,
    title: str = "training",
) -> Fitted:
    """Runs `train_epoch(epoch) -> training loss` until `validation_loss()` has not improved for
    `patience` epochs, then puts the best weights back."""
    best_loss, best_epoch, best_state = float("inf"), -1, copy.deepcopy(model.state_dict())
    epoch = 0
    with _progress(console) as progress:
        task = progress.add_task(title, total=max_epochs, note="")
        for epoch in range(max_epochs):
            model.train()
            training = train_epoch(epoch)
            model.eval()
            with torch.no_grad():
                validation = validation_loss()
            if validation < best_loss:
                best_loss, best_epoch, best_state = validation, epoch, copy.deepcopy(model.state_dict())
            progress.update(task, advance=1, note=f"train {training:.4f}  validation {validation:.4f}")
            if epoch - best_epoch >= patience:
                break
    model.load_state_dict(best_state)
    model.eval()
    return Fitted(epoch + 1, best_epoch + 1, best_loss)


def batches(count: int, size: int, generator: torch.Generator) -> tuple[Tensor, ...]:
    """Indices 0..count-1 in random order, cut into batches."""
    return tuple(torch.split(torch.randperm(count, generator=generator), size))


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("epoch {task.completed:.0f}"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[note]}"),
        console=console,
    )

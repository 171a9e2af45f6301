"""One variant beside the original: made, asked the same questions, timed in turns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from trireme_common.errors import TriremeError
from trireme_common.repository import VersionFiles
from trireme_common.tensors import Array
from trireme_inference.golden import Golden
from trireme_lab.export import session
from trireme_lab.failure import LabFailure
from trireme_lab.optimization import agreement, speed, variants
from trireme_lab.optimization.agreement import Agreement, Outputs
from trireme_lab.optimization.samples import Feeds, SampleSet, rows
from trireme_lab.optimization.speed import Speed
from trireme_postprocess.postprocessor import load as load_postprocess

CLASSIFICATIONS = ("text-classification", "image-classification")
_LEG_SECONDS = 0.1
MODEL_FILE = "model.onnx"

Advance = Callable[[str], None]
STEPS = 4
"""How often `Bench.try_variant` calls `advance`."""


@dataclass(frozen=True)
class Trial:
    """What was found of one variant. `problem` is why it could not be made or run; the rest is then None
    or empty. `golden_gap` is the biggest difference from the golden answer, whose biggest finite value is
    `golden_scale`; `neighbours_gap` is how far an answer moves with its batch, where that is too far."""

    variant: str
    model: Path
    original_bytes: int
    bytes: int = 0
    speeds: tuple[Speed, ...] = ()
    agreement: Agreement | None = None
    golden_gap: float = 0.0
    golden_scale: float = 0.0
    neighbours_gap: float = 0.0
    problem: str = ""


class Bench:
    """The original of every trial, with its answers. `folder` receives the variants' files."""

    def __init__(
        self, files: VersionFiles, golden: Golden | None, samples: SampleSet, folder: Path, *, threads: int
    ) -> None:
        self._task = files.spec.task
        self._source = files.directory / MODEL_FILE
        self._golden = golden
        self._folder = folder
        self._threads = threads
        self._calibration = samples.calibration
        self._most = files.spec.batching.max_batch_size
        golden_rows = rows({tensor.name: tensor.array() for tensor in golden.request}) if golden else []
        held_out = samples.held_out
        self._items = (*held_out, *golden_rows) if samples.own_calibration else tuple(held_out)
        self._label = None
        if self._task in CLASSIFICATIONS:
            self._label = agreement.labeller(load_postprocess(files))
        try:
            self._original = _Model(self._source, threads)
            self._answers = [self._original.run(item) for item in self._items]
            self._loads = self._make_loads()
        except Exception as error:  # onnxruntime's exceptions share no base of their own
            raise LabFailure(f"the model itself does not run: {_first_line(error)}") from error

    @property
    def items(self) -> int:
        """How many answers an agreement is measured over."""
        return len(self._items)

    def try_variant(self, variant: str, *, rounds: int, advance: Advance) -> Trial:
        """Makes and measures one variant."""
        model = self._folder / variant / MODEL_FILE
        model.parent.mkdir()
        trial = Trial(variant, model, _size(self._source))
        try:
            advance(f"{variant}: making it")
            variants.make(variant, self._source, model, self._calibration)
            made = _Model(model, self._threads)
            advance(f"{variant}: {len(self._items)} answers")
            answers = [made.run(item) for item in self._items]
            advance(f"{variant}: batches")
            neighbours_gap = self._neighbours_gap(made)
            advance(f"{variant}: speed, {rounds} rounds in turns")
            return Trial(
                variant,
                model,
                trial.original_bytes,
                bytes=_size(model),
                speeds=tuple(self._speeds(made, rounds)),
                agreement=agreement.measure(self._task, self._answers, answers, self._label),
                golden_gap=self._golden_gap(made),
                golden_scale=self._golden_scale(),
                neighbours_gap=neighbours_gap,
            )
        except LabFailure as failure:
            return _failed(trial, str(failure))
        except Exception as error:  # as above
            return _failed(trial, f"it does not run: {_first_line(error)}")

    def _golden_gap(self, made: _Model) -> float:
        if self._golden is None:
            return 0.0
        got = made.run({tensor.name: tensor.array() for tensor in self._golden.request})
        return agreement.biggest_gap({tensor.name: tensor.array() for tensor in self._golden.response}, got)

    def _golden_scale(self) -> float:
        answer = [tensor.array() for tensor in self._golden.response] if self._golden is not None else []
        return max((agreement.biggest_value(array) for array in answer), default=0.0)

    def _neighbours_gap(self, made: _Model) -> float:
        """0.0 for a model whose requests never share a run, because its own answers move too."""
        if self._most == 1 or len(self._loads) == 1:
            return 0.0
        if agreement.depends_on_neighbours(self._original.run, self._items, self._most):
            return 0.0
        return agreement.depends_on_neighbours(made.run, self._items, self._most)

    def _make_loads(self) -> list[tuple[int, Feeds]]:
        """What is timed: one row, and as many as the platform batches, if the model takes them."""
        batch = agreement.batches(self._items, self._most)[0]
        loads = [(1, batch[0])]
        if self._most > 1:
            full = agreement.stacked([batch[at % len(batch)] for at in range(self._most)])
            try:
                self._original.run(full)
            except Exception:  # a model of a fixed batch
                return loads
            loads.append((self._most, full))
        return loads

    def _speeds(self, made: _Model, rounds: int) -> list[Speed]:
        return [
            speed.compare(
                lambda feed=feed: self._original.run(feed),  # type: ignore[misc]
                lambda feed=feed: made.run(feed),  # type: ignore[misc]
                batch=batch,
                rounds=rounds,
                leg_seconds=_LEG_SECONDS,
            )
            for batch, feed in self._loads
        ]


class _Model:
    """One ONNX file, run as the service runs it."""

    def __init__(self, path: Path, threads: int) -> None:
        self._session = session(path, threads=threads)
        self._names = [output.name for output in self._session.get_outputs()]

    def run(self, feeds: Feeds) -> Outputs:
        answers: Sequence[Array] = self._session.run(self._names, feeds)
        return {name: np.asarray(answer) for name, answer in zip(self._names, answers, strict=True)}


def _failed(trial: Trial, problem: str) -> Trial:
    return Trial(trial.variant, trial.model, trial.original_bytes, problem=problem)


def _size(model: Path) -> int:
    """Bytes of the model and of the weights that may lie beside it."""
    return sum(path.stat().st_size for path in model.parent.glob(f"{MODEL_FILE}*"))


def _first_line(error: Exception) -> str:
    detail = error.detail if isinstance(error, TriremeError) else str(error)
    return detail.strip().partition("\n")[0][:300]

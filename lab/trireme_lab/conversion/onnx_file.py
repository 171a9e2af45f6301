"""The ONNX file: simplified, its outputs described, and held against the original's answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxslim

from trireme_common.tensors import datatype_of
from trireme_lab.conversion.declaration import Declared, Feeds
from trireme_lab.export import session
from trireme_lab.failure import LabFailure


@dataclass(frozen=True)
class Tolerance:
    """Agreement is |got - want| <= atol + rtol * |want|, for every element."""

    rtol: float
    atol: float


@dataclass(frozen=True)
class Check:
    """One request: its shapes, and how far the export's answer is from the original's."""

    shapes: dict[str, list[int]]
    difference: float
    problem: str = ""


def simplify(source: Path, target: Path) -> str:
    """Writes a simplified copy; returns why there is none, or an empty string."""
    try:
        onnx.save(onnxslim.slim(onnx.load(str(source))), str(target))
    except Exception as error:  # the tool raises whatever a graph makes it stumble over
        return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0][:200]}"
    return ""


def check_inputs(path: Path, inputs: Sequence[Declared]) -> None:
    """Raises LabFailure where the export has lost an input: exporters drop those that nothing depends on."""
    kept = {value.name for value in onnx.load(str(path)).graph.input}
    lost = [each.name for each in inputs if each.name not in kept]
    if lost:
        raise LabFailure(
            f"the export has no input '{lost[0]}': no output depends on it, so the exporter dropped it; "
            "save the model with a forward that does not take it"
        )


def describe_outputs(path: Path, outputs: Sequence[Declared]) -> None:
    """Writes names and sizes of the outputs' axes into the file, as the original was seen to give them:
    exporters note the sizes of their example, or none. Raises LabFailure where names or types differ."""
    model = onnx.load(str(path))
    have = {value.name: value for value in model.graph.output}
    for declared in outputs:
        value = have.get(declared.name)
        if value is None:
            raise LabFailure(f"the export has no output '{declared.name}'; it has {', '.join(have)}")
        shape = value.type.tensor_type.shape
        del shape.dim[:]
        for axis in declared.axes:
            dimension = shape.dim.add()
            if isinstance(axis, int):
                dimension.dim_value = axis
            else:
                dimension.dim_param = axis
    onnx.save(model, str(path))


def compare(path: Path, requests: Sequence[tuple[Feeds, Feeds]], tolerance: Tolerance) -> list[Check]:
    """Runs the file on every request and compares with the original's answers."""
    try:
        runtime = session(path)
    except Exception as error:  # onnxruntime's exceptions share no base of their own
        raise LabFailure(f"ONNX Runtime cannot open the export: {str(error).strip()[:300]}") from error
    checks = []
    for feeds, want in requests:
        shapes = {name: list(array.shape) for name, array in feeds.items()}
        try:
            got = dict(zip(want, runtime.run(list(want), feeds), strict=True))
        except Exception as error:  # as above
            checks.append(Check(shapes, float("inf"), str(error).strip().partition("\n")[0][:300]))
            continue
        gaps = [_gap(name, array, np.asarray(got[name]), tolerance) for name, array in want.items()]
        worst = max(gap for gap, _ in gaps)
        checks.append(Check(shapes, worst, "; ".join(problem for _, problem in gaps if problem)))
    return checks


def _gap(name: str, want: np.ndarray, got: np.ndarray, tolerance: Tolerance) -> tuple[float, str]:
    """Biggest difference, and what is wrong, if anything."""
    if (want.shape, want.dtype) != (got.shape, got.dtype):
        told, wanted = (
            f"{datatype_of(got.dtype)} {list(got.shape)}",
            f"{datatype_of(want.dtype)} {list(want.shape)}",
        )
        return float("inf"), f"'{name}' is {told}, the original's {wanted}"
    if want.size == 0:
        return 0.0, ""
    wide, reference = got.astype(np.float64), want.astype(np.float64)
    with np.errstate(invalid="ignore"):
        same = (wide == reference) | (np.isnan(wide) & np.isnan(reference))
        gap = np.where(same, 0.0, np.abs(wide - reference))
        bad = ~same & ~(gap <= tolerance.atol + tolerance.rtol * np.abs(reference))
    worst = float(np.nan_to_num(gap, nan=np.inf).max())
    problem = (
        f"'{name}' differs by {worst:.3g} in {int(bad.sum())} of {want.size} elements" if bad.any() else ""
    )
    return worst, problem

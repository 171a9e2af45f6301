"""What a worker process adds to a run, against a thread of the service: `python -m benchmarks.isolation`.

The same batches go through the same execution, once over a session of this process and once over a
worker, in turns, so that what else the machine does falls on both. The answers are compared first. A
batch is as many requests of one row. Each figure is the least of many short rounds: what else the machine
does only adds to it.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import onnx
import orjson
from onnx import TensorProto, helper
from prometheus_client import CollectorRegistry

from benchmarks.machine import this_machine
from trireme_common.tensors import Array
from trireme_inference.backend import Backend, OpenOptions
from trireme_inference.execution import Execution
from trireme_inference.golden import read_golden
from trireme_inference.onnx_backend import open_onnx
from trireme_inference.requests import Answer, Request
from trireme_inference.signature import Signature, batches
from trireme_inference.worker_metrics import WorkerMetrics
from trireme_inference.workers.segment import SegmentPool
from trireme_inference.workers.spawner import Spawner
from trireme_inference.workers.worker import Worker
from trireme_inference.workers.worker_set import WorkerSet

_ROOT = Path(__file__).parents[1]
_OPENER = "trireme_inference.onnx_backend:open_onnx"
_ROWS = (1, 8, 32)

Run = Callable[[Sequence[Request]], list[Answer]]


@dataclass(frozen=True)
class Figures:
    """Of one model and batch size. Times are microseconds of one batch."""

    model: str
    rows: int
    thread_us: float
    process_us: float
    thread_cpu_us: float
    process_cpu_us: float
    """Of the service and the worker together."""
    copied_bytes: int
    """Bytes that a process copies more than a thread: what a thread stacks, it copies too."""


class _Nobody:
    """Caller and sink of requests that are run directly."""

    cancelled = False

    def deliver(self, answers: Sequence[Answer]) -> None: ...


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.isolation", description=__doc__)
    parser.add_argument("--rounds", type=int, default=150)
    parser.add_argument("--seconds", type=float, default=0.01, help="of one round of one side")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    options = parser.parse_args(arguments)
    machine = this_machine({})
    with tempfile.TemporaryDirectory() as made, ExitStack() as stack:
        spawner = Spawner()
        stack.callback(spawner.close)
        found = [
            figures
            for name, directory, rows in _models(Path(made))
            for figures in _measured(spawner, name, directory, rows, options.rounds, options.seconds)
        ]
    if options.json:
        print(orjson.dumps({"machine": asdict(machine), "figures": [asdict(f) for f in found]}).decode())
    else:
        print(*machine.lines(), _table(found), sep="\n")
    return 0


def _models(made: Path) -> Iterator[tuple[str, Path, dict[str, Array]]]:
    """Name, directory and one row of input of each model."""
    for path in ("benchmarks/models/trivial", "models/sentiment-zh", "models/digits"):
        golden = read_golden(_ROOT / path / "golden.json")
        yield path.rpartition("/")[2], _ROOT / path / "1", {t.name: t.array()[:1] for t in golden.request}
    picture = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, 224, 224])
    means = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 3, 1, 1])
    graph = helper.make_graph([helper.make_node("GlobalAveragePool", ["x"], ["y"])], "g", [picture], [means])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, made / "model.onnx")
    yield "picture 224", made, {"x": np.ones((1, 3, 224, 224), np.float32)}


@contextmanager
def _sides(spawner: Spawner, directory: Path) -> Iterator[tuple[Backend, WorkerSet, Signature]]:
    def start(pool: SegmentPool, place: int) -> Worker:
        return Worker(spawner, pool, _OPENER, directory, OpenOptions(), 60)

    counts = WorkerMetrics(CollectorRegistry()).counts("m", "1")
    here = open_onnx(directory, OpenOptions())
    there = WorkerSet(start, counts, name="m", hang_seconds=60, load_seconds=60)
    try:
        yield here, there, Signature(here.inputs, here.outputs, batches(here.inputs, here.outputs))
    finally:
        there.close()
        here.close()


def _measured(
    spawner: Spawner, name: str, directory: Path, row: dict[str, Array], rounds: int, seconds: float
) -> Iterator[Figures]:
    with _sides(spawner, directory) as (here, there, signature):
        runs: dict[str, Run] = {
            "thread": Execution(name, here, signature).run,
            "process": Execution(name, there, signature, stage=there.stage).run,
        }
        (pid,) = there.processes().values()
        for rows in _ROWS:
            batch = [_request(signature, row) for _ in range(rows)]
            _compare(runs, batch)
            wall: dict[str, list[float]] = {side: [] for side in runs}
            cpu: dict[str, list[float]] = {side: [] for side in runs}
            for _ in range(rounds):
                for side, run in runs.items():
                    elapsed, used = _timed(run, batch, seconds, pid)
                    wall[side].append(elapsed)
                    cpu[side].append(used)
            there_and_back = sum(array.nbytes for array in row.values()) + _output_bytes(runs, batch) // rows
            stacked = 0 if rows == 1 else sum(array.nbytes for array in row.values())
            yield Figures(
                name,
                rows,
                thread_us=min(wall["thread"]),
                process_us=min(wall["process"]),
                thread_cpu_us=min(cpu["thread"]),
                process_cpu_us=min(cpu["process"]),
                copied_bytes=rows * (there_and_back - stacked),
            )


def _request(signature: Signature, row: dict[str, Array]) -> Request:
    nobody, now = _Nobody(), time.monotonic()
    parts = tuple(row[info.name].tobytes() for info in signature.inputs)
    shapes = tuple(row[info.name].shape[1:] for info in signature.inputs)
    return Request(parts, shapes, 1, now + 3600, now, signature, nobody, nobody)


def _compare(runs: dict[str, Run], batch: list[Request]) -> None:
    answers = [[bytes(part) for a in run(batch) for part in a.parts] for run in runs.values()]
    if answers[0] != answers[1] or not answers[0]:
        raise SystemExit("a worker process answers otherwise than a thread")


def _output_bytes(runs: dict[str, Run], batch: list[Request]) -> int:
    return sum(len(part) for answer in runs["thread"](batch) for part in answer.parts)


def _timed(run: Run, batch: list[Request], seconds: float, pid: int) -> tuple[float, float]:
    """Microseconds of a batch: on the clock, and of the CPU of both processes."""
    run(batch)
    count, used, begun = 0, _cpu_seconds(pid), time.perf_counter()
    while (elapsed := time.perf_counter() - begun) < seconds:
        run(batch)
        count += 1
    return elapsed / count * 1e6, (_cpu_seconds(pid) - used) / count * 1e6


def _cpu_seconds(pid: int) -> float:
    tasks = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return time.process_time() + sum(int(task.read_text().split()[0]) for task in tasks) / 1e9


def _table(found: Sequence[Figures]) -> str:
    lines = [
        "| model | rows | thread us | process us | added us | added CPU us | CPU us a row | copied bytes |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for f in found:
        added, cpu = f.process_us - f.thread_us, f.process_cpu_us - f.thread_cpu_us
        lines.append(
            f"| {f.model} | {f.rows} | {f.thread_us:.0f} | {f.process_us:.0f} | {added:.0f} | {cpu:.0f} "
            f"| {cpu / f.rows:.1f} | {f.copied_bytes:,} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())

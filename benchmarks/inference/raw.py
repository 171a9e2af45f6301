"""The floor: ONNX Runtime alone in one process, prepared batches, nothing between them and `run`.

`python -m benchmarks.inference.raw FOLDER ITEMS --callers 2 --threads 1 --batch 4 --seconds 2` measures one
setting and prints a line of JSON, a `Sample` whose requests are items. ITEMS is what `write_items` wrote.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import threading
import time
from base64 import b64decode, b64encode
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import cycle, islice
from pathlib import Path

import orjson

from benchmarks.figures import Sample, percentile
from benchmarks.peers.catalog import ROOT
from benchmarks.peers.foreign.work import Array, TensorWork, stack
from benchmarks.servers import ServerError

BATCHES = (1, 2, 4, 8, 16, 32)
_FEEDS = 8
_WARM_UP_SHARE = 0.2
_PATIENCE_SECONDS = 120.0


@dataclass(frozen=True)
class RawSetting:
    """`callers` threads call `run` side by side; each run has `threads` of ONNX Runtime's own."""

    callers: int
    threads: int
    batch: int
    spin: bool = False

    def __str__(self) -> str:
        callers = f"{self.callers} caller{'s' if self.callers > 1 else ''}"
        threads = f"{self.threads} thread{'s' if self.threads > 1 else ''}"
        return f"{callers} x {threads}, batch {self.batch}{', spinning' if self.spin else ''}"


def raw_settings(number: int, batches: Sequence[int] = BATCHES) -> list[RawSetting]:
    """All that keep `number` cores at work. A run of one thread has nobody to spin for."""
    settings = [RawSetting(number, 1, batch) for batch in batches]
    if number > 1:
        settings += [
            RawSetting(callers, number, batch, spin)
            for batch in batches
            for callers in (1, 2)
            for spin in (False, True)
        ]
    return settings


def write_items(bodies: Sequence[bytes], file: Path) -> None:
    file.write_bytes(orjson.dumps([b64encode(body).decode() for body in bodies]))


def measure_raw(folder: Path, items: Path, setting: RawSetting, seconds: float) -> Sample:
    """One window, in a process of its own. Raises ServerError."""
    options = {
        "callers": setting.callers,
        "threads": setting.threads,
        "batch": setting.batch,
        "seconds": seconds,
    }
    arguments = [part for name, value in options.items() for part in (f"--{name}", str(value))]
    finished = subprocess.run(
        [
            sys.executable,
            "-m",
            "benchmarks.inference.raw",
            str(folder),
            str(items),
            *arguments,
            *(["--spin"] if setting.spin else []),
        ],
        capture_output=True,
        check=False,
        cwd=ROOT,
        timeout=seconds + _PATIENCE_SECONDS,
    )
    if finished.returncode != 0:
        raise ServerError(f"raw ONNX Runtime, {setting}: {finished.stderr.decode('utf-8', 'replace')[-500:]}")
    return Sample(**orjson.loads(finished.stdout))


class _Window:
    """What the callers share."""

    def __init__(self) -> None:
        self.until = 0.0
        self.latencies: list[float] = []


def _call(work: TensorWork, feeds: Sequence[dict[str, Array]], window: _Window) -> None:
    for feed in cycle(feeds):
        began = time.perf_counter()
        if began >= window.until:
            return
        work.session.run(work.fetch, feed)
        window.latencies.append(time.perf_counter() - began)


def _run(work: TensorWork, feeds: Sequence[dict[str, Array]], callers: int, seconds: float) -> list[float]:
    window = _Window()
    window.until = time.perf_counter() + seconds
    threads = [threading.Thread(target=_call, args=(work, feeds, window)) for _ in range(callers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(window.latencies)


def _feeds(work: TensorWork, bodies: Sequence[bytes], size: int) -> list[dict[str, Array]]:
    items = cycle(map(work.decode, bodies))
    feeds = []
    for _ in range(_FEEDS):
        batch = list(islice(items, size))
        feeds.append(
            {name: stack([item.tensors[at] for item in batch]) for at, name in enumerate(work.names)}
        )
    return feeds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("items", type=Path)
    for name in ("callers", "threads", "batch"):
        parser.add_argument(f"--{name}", type=int, required=True)
    parser.add_argument("--spin", action="store_true")
    parser.add_argument("--seconds", type=float, required=True)
    given = parser.parse_args()
    work = TensorWork(given.folder, given.threads, spin=given.spin)
    feeds = _feeds(work, [b64decode(body) for body in orjson.loads(given.items.read_bytes())], given.batch)
    _run(work, feeds, given.callers, given.seconds * _WARM_UP_SHARE)
    cpu, began = time.process_time(), time.perf_counter()
    latencies = _run(work, feeds, given.callers, given.seconds)
    ended, cpu_ended = time.perf_counter(), time.process_time()
    sample = Sample(
        requests=len(latencies) * given.batch,
        seconds=ended - began,
        p50_ms=percentile(latencies, 0.5) * 1000,
        p99_ms=percentile(latencies, 0.99) * 1000,
        program_cpu_seconds={"onnxruntime": cpu_ended - cpu},
        generator_cpu_seconds=0.0,
    )
    sys.stdout.buffer.write(orjson.dumps(asdict(sample)))


if __name__ == "__main__":
    main()

"""Servers that are all up, asked in turns of less than a second: `python -m benchmarks.turns`.

Where other work makes the machine three times slower for minutes, rounds of minutes say little. Here both
sides of a ratio are measured within seconds of each other, many times over, and the middle half of the ratios
is given. A server that is up and not asked costs next to nothing. `--beside` takes another checkout, whose
`trireme` is measured as `beside`: what a change is worth.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory

import orjson
from rich.console import Console
from rich.table import Table

from benchmarks.answers import check_answers
from benchmarks.command import end_by_sigterm, progress
from benchmarks.driver import BUSIEST, prepare
from benchmarks.figures import Sample
from benchmarks.load.closed_loop import WrongAnswerError
from benchmarks.machine import Machine, this_machine
from benchmarks.servers import SINGLE_FILE, TRIREME, RunningServer, ServerError
from benchmarks.window import Window, measure
from benchmarks.workloads import WORKLOADS
from trireme_cli.loadtest.http import ProtocolError
from trireme_common.errors import TriremeError

BESIDE = "beside"
_ORDER = 5
_WARM_UP_SECONDS = 0.2
_PAYLOADS = 2048
_WIDTH = 120
_PARTS = (
    "", "protos", "cli", "client", "services/common", "services/gateway", "services/preprocess",
    "services/inference", "services/postprocess",
)  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 1 where a server did not start or answered wrongly, 2 for wrong usage."""
    given = _parse(arguments)
    end_by_sigterm()
    machine = this_machine(os.environ)
    try:
        samples = _run(given)
    except (ServerError, WrongAnswerError, ProtocolError, TriremeError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0
    content = {name: [asdict(sample) for sample in taken] for name, taken in samples.items()}
    leave([table(samples)], _WIDTH, machine, content, given.json)
    return 0


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    workloads = {workload.name: workload for workload in WORKLOADS}
    parser = argparse.ArgumentParser(prog="python -m benchmarks.turns", description="Servers in turns.")
    parser.add_argument(
        "servers",
        nargs="*",
        default=[SINGLE_FILE, TRIREME],
        help="the first is what others are compared with",
    )
    parser.add_argument("--workload", default="trivial", choices=workloads)
    parser.add_argument("--connections", type=int, default=BUSIEST)
    parser.add_argument("--rounds", type=int, default=15, help="each visits every server (default 15)")
    parser.add_argument("--seconds", type=float, default=0.8, help="of every turn (default 0.8)")
    parser.add_argument("--beside", type=checkout, metavar="CHECKOUT", help="its trireme takes part too")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every sample there")
    given = parser.parse_args(arguments)
    given.workload = workloads[given.workload]
    if unknown := set(given.servers) - set(given.workload.servers):
        parser.error(f"{', '.join(sorted(unknown))}: choose from {', '.join(given.workload.servers)}")
    if given.rounds < 4 or given.seconds <= 0 or given.connections < 1:
        parser.error("--rounds must be 4 at least, --seconds and --connections positive")
    return given


def checkout(path: str) -> Path:
    """The option `--beside`, for argparse. Raises ArgumentTypeError where no source of ours is there."""
    if not (Path(path) / "services" / "gateway").is_dir():
        raise argparse.ArgumentTypeError(f"{path} is no checkout")
    return Path(path).resolve()


def _run(given: argparse.Namespace) -> dict[str, list[Sample]]:
    names = [*given.servers, *([BESIDE] if given.beside is not None else [])]
    samples: dict[str, list[Sample]] = {name: [] for name in names}
    told = 1 + len(names) + given.rounds
    with (
        progress(told) as tell,
        TemporaryDirectory(prefix="trireme-turns-") as directory,
        ExitStack() as stack,
    ):
        home = Path(directory)
        tell("asking the oracle")
        prepared = prepare(given.workload, list(dict.fromkeys([*given.servers, TRIREME])), _PAYLOADS, home)
        running: dict[str, RunningServer] = {}
        for name in names:
            tell(f"starting {name}")
            kind = TRIREME if name == BESIDE else name
            environment = os.environ if name != BESIDE else of_checkout(given.beside)
            server = prepared.servers[kind][0].running(environment, home / f"{name}.log")
            running[name] = stack.enter_context(server)
            check_answers(running[name].port, prepared.exchanges[kind])
        chance = random.Random(_ORDER)
        for number in range(given.rounds):
            tell(f"round {number + 1}")
            for name in chance.sample(names, len(names)):
                file = prepared.files[TRIREME if name == BESIDE else name]
                window = Window(_WARM_UP_SECONDS, given.seconds)
                samples[name].append(measure(file, running[name], given.connections, window))
    return samples


def of_checkout(root: Path) -> dict[str, str]:
    """This environment, in which servers are those of the checkout at `root`."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(str(root / part) for part in _PARTS)}


def table(samples: Mapping[str, Sequence[Sample]]) -> Table:
    """Medians of each server, and of its ratios to the first one with the middle half of them."""
    made = Table("server", "requests/s", "CPU us/request", "p50 ms", "requests/s, x", "CPU, x", "p50, x")
    base = next(iter(samples.values()))
    for name, taken in samples.items():
        made.add_row(
            name,
            f"{median(sample.requests_per_second for sample in taken):,.0f}",
            f"{median(sample.cpu_us for sample in taken):,.0f}",
            f"{median(sample.p50_ms for sample in taken):.2f}",
            *(
                middle([value(sample) / value(other) for sample, other in zip(taken, base, strict=True)])
                for value in (_speed, _cpu, _p50)
            ),
        )
    return made


def middle(values: Sequence[float]) -> str:
    """The median, with the quartiles."""
    low, centre, high = quantiles(values, n=4, method="inclusive")
    return f"{centre:.2f} ({low:.2f}-{high:.2f})"


def leave(tables: Sequence[Table], width: int, machine: Machine, content: object, json: Path | None) -> None:
    """Prints tables and machine, `width` columns wide where there is no terminal; `json` takes `content`."""
    console = Console(width=None if sys.stdout.isatty() else width)
    console.print(*tables, sep="\n")
    for line in machine.lines():
        console.print(line, style="dim")
    if json is not None:
        json.write_bytes(orjson.dumps(content, option=orjson.OPT_INDENT_2))


def _speed(sample: Sample) -> float:
    return sample.requests_per_second


def _cpu(sample: Sample) -> float:
    return sample.cpu_us


def _p50(sample: Sample) -> float:
    return sample.p50_ms


if __name__ == "__main__":
    sys.exit(main())

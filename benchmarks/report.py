"""Results as tables, for the terminal and for benchmarks/README.md alike."""

from __future__ import annotations

from dataclasses import dataclass

from rich.console import Console
from rich.table import Table as RichTable

from benchmarks.figures import Spread
from benchmarks.results import Results, ServerResult, WorkloadResult
from benchmarks.servers import ANCHOR, SINGLE_FILE, TRIREME

_PAIRS = ((TRIREME, SINGLE_FILE), (TRIREME, ANCHOR), (SINGLE_FILE, ANCHOR))
_COMPARED = {
    "requests_per_second": "requests/s",
    "cpu_us": "CPU a request",
    "p50_ms": "p50",
    "p99_ms": "p99",
}


@dataclass(frozen=True)
class Table:
    """Cells as text; the first `names` columns are words, the others figures."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    names: int


@dataclass(frozen=True)
class Goal:
    """A line of performance.md that this benchmark can measure."""

    words: str
    workload: str
    connections: int
    against: str | None
    """Server whose requests/s ours are divided by; None: our CPU microseconds a request."""
    bound: float


GOALS = (
    Goal("P1, this peer: trivial at least 1.5 x single-file", "trivial", 64, SINGLE_FILE, 1.5),
    Goal("P2: trivial at most 160 us CPU a request", "trivial", 64, None, 160.0),
    Goal("sentiment-zh no slower than single-file", "sentiment-zh", 64, SINGLE_FILE, 1.0),
    Goal("P6, this peer: digits ahead of single-file", "digits", 64, SINGLE_FILE, 1.0),
)


def tables(results: Results) -> list[Table]:
    """Every table of a run that has rows."""
    made = [_servers(workload) for workload in results.workloads]
    made += [_programs(results.workloads), _ratios(results.workloads), _goals(results.workloads)]
    return [table for table in made if table.rows]


def _servers(workload: WorkloadResult) -> Table:
    columns = (
        "server", "setting", "connections", "requests/s", "p50 ms", "p99 ms",
        "server CPU us/request", "generator, of a core",
    )  # fmt: skip
    rows = []
    for name, server in workload.servers.items():
        for connections in server.samples:
            rows.append((name, server.setting, str(connections), *_figures(server, connections)))
    return Table(f"{workload.name}: {workload.note}", columns, tuple(rows), 2)


def _figures(server: ServerResult, connections: int) -> tuple[str, ...]:
    return (
        spread(server.spread(connections, "requests_per_second"), 0),
        spread(server.spread(connections, "p50_ms"), 2),
        spread(server.spread(connections, "p99_ms"), 2),
        spread(server.spread(connections, "cpu_us"), 0),
        f"{server.spread(connections, 'generator_load').median:.0%}",
    )


def _programs(workloads: list[WorkloadResult]) -> Table:
    """Where the platform's CPU time goes; the supervisor of `trireme up` is one of its programs."""
    found = {
        (workload.name, str(connections)): server.programs(connections)
        for workload in workloads
        for server in [workload.servers.get(TRIREME, ServerResult())]
        for connections in server.samples
    }
    programs = tuple(dict.fromkeys(name for spreads in found.values() for name in spreads))
    rows = tuple(
        (*case, *(spread(spreads[name], 0) if name in spreads else "" for name in programs))
        for case, spreads in found.items()
    )
    return Table(
        "CPU us/request of the platform's processes", ("workload", "connections", *programs), rows, 1
    )


def _ratios(workloads: list[WorkloadResult]) -> Table:
    rows = []
    for workload in workloads:
        for ours, theirs in _PAIRS:
            levels = workload.servers[ours].samples if ours in workload.servers else ()
            for connections in levels:
                found = [workload.ratio(ours, theirs, connections, figure) for figure in _COMPARED]
                cells = [spread(each, 2) for each in found if each is not None]
                if cells:
                    rows.append((workload.name, f"{ours} / {theirs}", str(connections), *cells))
    columns = ("workload", "ratio", "connections", *_COMPARED.values())
    return Table("Medians of the ratios of each round", columns, tuple(rows), 2)


def _goals(workloads: list[WorkloadResult]) -> Table:
    named = {workload.name: workload for workload in workloads}
    rows = []
    for goal in GOALS:
        workload = named.get(goal.workload)
        measured = None if workload is None else _reached(goal, workload)
        if measured is not None:
            met = measured.median <= goal.bound if goal.against is None else measured.median >= goal.bound
            rows.append((goal.words, "yes" if met else "NO", spread(measured, 2 if goal.against else 0)))
    return Table("Goals, at 64 connections", ("goal", "met", "measured"), tuple(rows), 2)


def _reached(goal: Goal, workload: WorkloadResult) -> Spread | None:
    if goal.against is not None:
        return workload.ratio(TRIREME, goal.against, goal.connections, "requests_per_second")
    server = workload.servers.get(TRIREME)
    if server is None or goal.connections not in server.samples:
        return None
    return server.spread(goal.connections, "cpu_us")


def spread(value: Spread, digits: int) -> str:
    """`12,345 (11,000-13,000)`; the range is left out where it says nothing."""
    median, low, high = (f"{each:,.{digits}f}" for each in (value.median, value.low, value.high))
    return median if low == high else f"{median} ({low}-{high})"


def show(results: Results, console: Console) -> None:
    """Prints the tables, where they come from, and what failed."""
    for table in tables(results):
        rich = RichTable(title=table.title, title_justify="left", title_style="bold")
        for position, column in enumerate(table.columns):
            rich.add_column(column, justify="left" if position < table.names else "right")
        for row in table.rows:
            rich.add_row(*row)
        console.print(rich)
    for line in (results.command, *results.machine.lines()):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    for failure in results.failures:
        console.print(f"FAILED {failure}", markup=False, style="red", soft_wrap=True)

"""Results as tables, for the terminal and for benchmarks/README.md alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table as RichTable

from benchmarks.figures import Spread
from benchmarks.goals import GOALS
from benchmarks.peers.environments import PINS
from benchmarks.results import MemoryResult, Results, ServerResult, WorkloadResult
from benchmarks.servers import (
    ANCHOR,
    BASE64,
    BINARY,
    CONSTANT,
    DUPLICATES,
    IN_PROCESS,
    MANY_MODELS,
    MANY_REPLICAS,
    MEMORY_HIT,
    MISSES,
    ONE_MODEL,
    REDIS_HIT,
    SINGLE_FILE,
    TRIREME,
    UNCOALESCED,
)

_PAIRS = (
    (TRIREME, SINGLE_FILE),
    *((TRIREME, framework) for framework in PINS),
    (TRIREME, ANCHOR),
    (SINGLE_FILE, ANCHOR),
    (TRIREME, UNCOALESCED),
    (TRIREME, IN_PROCESS),
    (MEMORY_HIT, CONSTANT),
    (REDIS_HIT, CONSTANT),
    (DUPLICATES, MISSES),
    (BINARY, BASE64),
    (MANY_MODELS, ONE_MODEL),
    (MANY_REPLICAS, ONE_MODEL),
)
_GROWN = (ONE_MODEL, MANY_MODELS, MANY_REPLICAS)
_PLATFORMS = (TRIREME, UNCOALESCED, MEMORY_HIT, REDIS_HIT, MISSES, DUPLICATES, BINARY, BASE64, *_GROWN)
_TIMED = {
    "preprocess": "preprocess",
    "queue": "inference, queue",
    "inference": "inference, rest",
    "postprocess": "postprocess",
    "gateway": "rest of the gateway",
}
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


def tables(results: Results) -> list[Table]:
    """Every table of a run that has rows."""
    made = [_servers(workload) for workload in results.workloads]
    made += [_timings(results.workloads), _programs(results.workloads), _ratios(results.workloads)]
    made += [_memory(results.memory or MemoryResult()), _goals(results)]
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


def _timings(workloads: list[WorkloadResult]) -> Table:
    """The parts of `server-timing` at one connection; a stage's part holds its hop there and back."""
    rows = []
    for workload in workloads:
        for name, server in workload.servers.items():
            found = server.timings(1) if 1 in server.samples else {}
            if found:
                p50, total = (
                    server.values(1, "p50_ms"),
                    [each.timings_ms["total"] for each in server.samples[1]],
                )
                outside = Spread.of([whole - inside for whole, inside in zip(p50, total, strict=True)])
                parts = [spread(found[part], 3) for part in _TIMED]
                rows.append((workload.name, name, *parts, spread(outside, 3), spread(Spread.of(p50), 3)))
    columns = ("workload", "server", *_TIMED.values(), "HTTP and client", "p50")
    return Table("Where one request's time goes: ms at 1 connection, medians", columns, tuple(rows), 2)


def _programs(workloads: list[WorkloadResult]) -> Table:
    """Where the platform's CPU time goes; the supervisor of `trireme up` is one of its programs."""
    found = {
        (workload.name, name, str(connections)): server.programs(connections)
        for workload in workloads
        for name, server in workload.servers.items()
        if name in _PLATFORMS
        for connections in server.samples
    }
    programs = tuple(dict.fromkeys(name for spreads in found.values() for name in spreads))
    rows = tuple(
        (*case, *(spread(spreads[name], 0) if name in spreads else "" for name in programs))
        for case, spreads in found.items()
    )
    columns = ("workload", "server", "connections", *programs)
    return Table("CPU us/request of the platform's processes", columns, rows, 2)


def _memory(memory: MemoryResult) -> Table:
    programs = tuple(dict.fromkeys(name for reading in memory.readings.values() for name in reading))
    rows = tuple(
        (
            f"after {requests:,} requests" if requests else "idle",
            f"{sum(reading.values()):,.0f}",
            *(f"{reading[name]:,.0f}" if name in reading else "" for name in programs),
        )
        for requests, reading in memory.readings.items()
    )
    return Table("PSS of the platform's processes, MB", ("platform", "all", *programs), rows, 1)


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


def _goals(results: Results) -> Table:
    rows = []
    for goal in GOALS:
        found = goal.measure(results)
        if found is not None:
            rows.append((goal.words, "yes" if goal.met(found) else "NO", spread(found, goal.digits)))
    return Table("Goals", ("goal", "met", "measured"), tuple(rows), 2)


def spread(value: Spread, digits: int) -> str:
    """`12,345 (11,000-13,000)`; the range is left out where it says nothing."""
    median, low, high = (f"{each:,.{digits}f}" for each in (value.median, value.low, value.high))
    return median if low == high else f"{median} ({low}-{high})"


def show_tables(made: Sequence[Table], console: Console) -> None:
    """Prints tables."""
    for table in made:
        rich = RichTable(title=table.title, title_justify="left", title_style="bold")
        for position, column in enumerate(table.columns):
            rich.add_column(column, justify="left" if position < table.names else "right")
        for row in table.rows:
            rich.add_row(*row)
        console.print(rich)


def show(results: Results, console: Console) -> None:
    """Prints the tables, where they come from, and what failed."""
    show_tables(tables(results), console)
    for line in (results.command, *results.machine.lines()):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    for failure in results.failures:
        console.print(f"FAILED {failure}", markup=False, style="red", soft_wrap=True)

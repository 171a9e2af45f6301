"""The marked sections of benchmarks/README.md, which `--write` replaces."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from benchmarks.report import Table, tables
from benchmarks.results import Results, WorkloadResult

README = Path(__file__).resolve().parent / "README.md"


@dataclass(frozen=True)
class Marks:
    """The lines between which a section stands."""

    begin: str
    end: str


FIGURES = Marks(
    "<!-- figures: written by `python -m benchmarks --write`, not by hand -->", "<!-- end of figures -->"
)
PEERS = Marks(
    "<!-- peers: written by `python -m benchmarks.peers --write`, not by hand -->", "<!-- end of peers -->"
)


class ReadmeError(Exception):
    """The page has not one pair of marks."""


def render(results: Results) -> str:
    """The section's Markdown."""
    lines = [f"`{results.command}`", ""]
    lines += [f"- {line}" for line in results.machine.lines()]
    lines.append(f"- {results.rounds} rounds of {results.seconds:g} s: medians, with the range of the rounds")
    for table in tables(results):
        lines += ["", *_markdown(table)]
    tried = [line for workload in results.workloads for line in _tried(workload)]
    if tried:
        lines += ["", "Settings that were tried first, requests/s at 64 connections:", "", *tried]
    if results.failures:
        lines += ["", "**Not measured:**", "", *(f"- {_escape(failure)}" for failure in results.failures)]
    return "\n".join(lines)


def _markdown(table: Table) -> list[str]:
    rules = ["---" if position < table.names else "---:" for position in range(len(table.columns))]
    rows = [table.columns, tuple(rules), *(tuple(map(_escape, row)) for row in table.rows)]
    return [f"### {table.title}", "", *("| " + " | ".join(row) + " |" for row in rows)]


def _tried(workload: WorkloadResult) -> list[str]:
    lines = []
    for name, server in workload.servers.items():
        if server.tried:
            each = ", ".join(f"{setting} {rate:,.0f}" for setting, rate in server.tried.items())
            lines.append(f"- {workload.name}, {name}: {each}")
    return lines


def _escape(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


def replace_section(page: str, section: str, marks: Marks) -> str:
    """`page` with `section` between the marks. Raises ReadmeError where the marks are not one pair."""
    begin, end = marks.begin, marks.end
    if page.count(begin) != 1 or page.count(end) != 1 or page.index(begin) > page.index(end):
        raise ReadmeError(f"one line {begin!r} and after it one line {end!r} are expected")
    before, rest = page.split(begin)
    _, after = rest.split(end)
    return f"{before}{begin}\n\n{section}\n\n{end}{after}"


def write(path: Path, results: Results, marks: Marks) -> None:
    """Replaces a section of the page at `path`. Raises ReadmeError, OSError."""
    path.write_text(replace_section(path.read_text("utf-8"), render(results), marks), "utf-8")

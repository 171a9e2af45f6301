"""Results of the inference benchmark as tables, for the terminal and for benchmarks/README.md alike."""

from __future__ import annotations

from pathlib import Path

from benchmarks.figures import Sample
from benchmarks.inference.asking import BUSIEST
from benchmarks.inference.goals import lines
from benchmarks.inference.results import InferenceResults, ModelResult, Served
from benchmarks.readme import ReadmeError
from benchmarks.report import Table, spread

BEGIN = (
    "<!-- inference: written by `python -m benchmarks.inference --write`, not by hand; a model at a time -->"
)
END = "<!-- end of inference -->"
_ALONE = "ONNX Runtime alone"


def tables(results: InferenceResults) -> list[Table]:
    """Every table that has rows."""
    return [table for model in results.models for table in _tables(model)]


def _tables(model: ModelResult) -> list[Table]:
    return [table for table in (_goals(model), _served(model), _same(model), _tried(model)) if table.rows]


def _served(model: ModelResult) -> Table:
    columns = (
        "server", "setting", "load", "items/s", "p50 ms", "p99 ms", "CPU us/item",
        "efficiency by CPU", "items/s / alone",
    )  # fmt: skip
    rows = [
        (f"{_ALONE}, {level}", model.anchors[level], "", *_figures(model.raw, level), "", "")
        for level in model.raw.samples
    ]
    for name, served in model.servers.items():
        for level in served.samples:
            efficiency, share = model.efficiency(name, level), model.share(name, level)
            ratios = ("" if each is None else spread(each, 2) for each in (efficiency, share))
            rows.append((name, served.setting, level, *_figures(served, level), *ratios))
    return Table(f"{model.name}: {model.note}", columns, tuple(rows), 3)


def _figures(served: Served, level: str) -> tuple[str, ...]:
    digits = {"requests_per_second": 0, "p50_ms": 2, "p99_ms": 2, "cpu_us": 0}
    return tuple(spread(served.spread(level, figure), places) for figure, places in digits.items())


def _same(model: ModelResult) -> Table:
    """Every server at the same workers, threads and batch, from the windows in which settings were tried."""
    settings = [setting for each in model.servers.values() for setting in each.tried]
    rows = []
    for setting in dict.fromkeys(settings):
        together = {
            name: each.tried[setting] for name, each in model.servers.items() if setting in each.tried
        }
        if len(together) > 1:
            rows += [(setting, name, *_sample(sample)) for name, sample in together.items()]
    columns = ("workers, threads, batch", "server", "items/s", "p99 ms", "CPU us/item")
    return Table(
        f"{model.name}: the same setting for all, {BUSIEST} at a time, one short window each",
        columns,
        tuple(rows),
        2,
    )


def _tried(model: ModelResult) -> Table:
    rows = tuple((setting, *_sample(sample)) for setting, sample in model.raw.tried.items())
    columns = ("callers, threads, batch", "items/s", "p99 ms of a run", "CPU us/item")
    return Table(f"{model.name}: {_ALONE}, one short window each", columns, rows, 1)


def _sample(sample: Sample) -> tuple[str, ...]:
    return f"{sample.requests_per_second:,.0f}", f"{sample.p99_ms:,.2f}", f"{sample.cpu_us:,.0f}"


def _goals(model: ModelResult) -> Table:
    said = {True: "yes", False: "NO", None: "not measured"}
    rows = tuple(
        (line.words, said[line.met], "" if line.found is None else spread(line.found, 2))
        for line in lines(model)
    )
    return Table(f"{model.name}: goals", ("goal", "met", "ratio"), rows, 2)


def render(results: InferenceResults, model: ModelResult) -> str:
    """The Markdown of one model's section."""
    versions = ", ".join(f"{name} {number}" for name, number in results.versions.items())
    said = [f"`{results.command}`", "", *(f"- {line}" for line in results.machine.lines())]
    said.append(f"- frameworks: {versions}")
    said.append(f"- {results.rounds} rounds of {results.seconds:g} s: medians, with the range of the rounds")
    for table in _tables(model):
        said += ["", *_markdown(table)]
    if model.failures:
        said += ["", "**Not measured:**", ""]
        said += [f"- {failure.replace('<', '&lt;')}" for failure in model.failures]
    return "\n".join(said)


def _markdown(table: Table) -> list[str]:
    rules = ["---" if position < table.names else "---:" for position in range(len(table.columns))]
    rows = [table.columns, tuple(rules), *table.rows]
    return [f"### {table.title}", "", *("| " + " | ".join(row) + " |" for row in rows)]


def replace_section(page: str, model: str, section: str) -> str:
    """`page` with `section` as that model's, behind the others where it had none; the rest stays.

    Raises ReadmeError where the marks are not one pair.
    """
    if page.count(BEGIN) != 1 or page.count(END) != 1 or page.index(BEGIN) > page.index(END):
        raise ReadmeError(f"one line {BEGIN!r} and after it one line {END!r} are expected")
    begin, end = f"<!-- inference of {model} -->", f"<!-- end of {model} -->"
    if begin not in page:
        page = page.replace(END, f"{begin}\n{end}\n\n{END}")
    before, rest = page.split(begin)
    return f"{before}{begin}\n\n{section}\n\n{end}{rest.split(end)[1]}"


def write(path: Path, results: InferenceResults) -> None:
    """Replaces the sections of what was measured in the page at `path`. Raises ReadmeError, OSError."""
    page = path.read_text("utf-8")
    for model in results.models:
        page = replace_section(page, model.name, render(results, model))
    path.write_text(page, "utf-8")

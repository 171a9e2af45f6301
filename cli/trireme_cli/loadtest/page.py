"""The report of a load test: a page of HTML, or the charts alone as SVG. Neither asks for anything else."""

from __future__ import annotations

import math
from html import escape
from pathlib import Path

from trireme_cli.failure import UsageFailure
from trireme_cli.loadtest.chart import HEIGHT, STYLE, WIDTH, Chart, Series, log_ticks, nice_ticks
from trireme_cli.loadtest.histogram import Histogram
from trireme_cli.loadtest.render import loop_words
from trireme_cli.loadtest.result import LoadResult
from trireme_cli.loadtest.tally import Tally
from trireme_cli.loadtest.timeline import Step, Timeline

_COLUMNS = 60
_CURVE_POINTS = 160
_SHARES = ((0.0, "0%"), (0.5, "50%"), (0.9, "90%"), (0.99, "99%"), (0.999, "99.9%"), (0.9999, "99.99%"))
_GAP = 12
_HEAD = 52
_PAGE_STYLE = """
body { margin: 2rem auto; max-width: 800px; padding: 0 1rem; font: 15px/1.5 system-ui, sans-serif;
  color: var(--ink); background: var(--paper); }
table { border-collapse: collapse; margin: 1rem 0; } td, th { text-align: left; padding: .2rem 1.2rem .2rem 0;
  border-bottom: 1px solid var(--grid); vertical-align: top; } td.figure { text-align: right; }
svg { max-width: 100%; height: auto; } .soft { color: var(--soft); } .bad { color: #c9372c; }
"""


def check_name(path: Path) -> None:
    """Raises UsageFailure where the report cannot be written in the form that the name asks for."""
    if path.suffix.lower() not in (".html", ".svg"):
        raise UsageFailure(f"--report {path}: name it .html, a page with charts and tables, or .svg")


def write_report(path: Path, result: LoadResult) -> None:
    """By the name's ending. Raises UsageFailure where it cannot be written."""
    page = html(result) if path.suffix.lower() == ".html" else svg(result)
    try:
        path.write_text(page, "utf-8")
    except OSError as error:
        raise UsageFailure(f"--report {path}: {error.strerror}") from error


def svg(result: LoadResult) -> str:
    """The charts under each other with a line of words above, as a file of its own."""
    made = charts(result.tally)
    height = _HEAD + len(made) * (HEIGHT + _GAP)
    body = "\n".join(chart.svg(_HEAD + number * (HEIGHT + _GAP)) for number, chart in enumerate(made))
    words = f"{result.tally.requests:,} requests, {result.rate:,.0f} a second, {result.error_rate:.2%} failed"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" '
        f'height="{height}">\n<style>{STYLE}</style>\n'
        f'<rect width="{WIDTH}" height="{height}" style="fill: var(--paper)"/>\n'
        f'<text class="title" x="14" y="24">{escape(_title(result))}</text>\n'
        f'<text class="label" x="14" y="42">{escape(words)}</text>\n{body}\n</svg>\n'
    )


def html(result: LoadResult) -> str:
    """A page with tables, the charts in it."""
    drawn = "\n".join(
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" role="img" '
        f'aria-label="{escape(chart.title)}">{chart.svg()}</svg>'
        for chart in charts(result.tally)
    )
    title = escape(_title(result))
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width">\n'
        f"<title>{title}</title>\n<style>{STYLE}{_PAGE_STYLE}</style>\n</head>\n<body>\n"
        f"<h1>{title}</h1>\n<p class=soft>{escape(_subtitle(result))}</p>\n"
        f"{_figures(result)}\n{_errors(result.tally)}\n{drawn}\n</body>\n</html>\n"
    )


def charts(tally: Tally) -> list[Chart]:
    """Latency twice, and the run over time twice; of a run without a good answer, only over time."""
    found = [_rates(tally.timeline, tally.seconds)]
    if tally.latency.count:
        found = [
            _curve(tally.latency),
            _spread(tally.latency),
            *found,
            _over_time(tally.timeline, tally.seconds),
        ]
    return found


def _curve(latency: Histogram) -> Chart:
    """Percentiles over an axis on which each nine takes the same room, as far as there are requests."""
    most = max(0.9, 1 - 1 / latency.count)
    end = -math.log10(1 - most)
    nines = [end * at / _CURVE_POINTS for at in range(_CURVE_POINTS + 1)]
    points = [(nine, latency.percentile(1 - 10**-nine) * 1000) for nine in nines]
    ticks = [(-math.log10(1 - share), words) for share, words in _SHARES if share <= most + 1e-9]
    if ticks[-1][0] < end - 1e-9:
        ticks.append((end, ""))
    return Chart("Latency by percentile", "share of the answers that took no longer", "ms", ticks, [
        Series("latency", "blue", points)
    ])  # fmt: skip


def _spread(latency: Histogram) -> Chart:
    low, high = latency.min * 1000, max(latency.max * 1000, latency.min * 1000 * 1.1)
    ticks = log_ticks(low, high)
    first, last = ticks[0][0], ticks[-1][0]
    counts = [0] * _COLUMNS
    for seconds, count in latency.buckets():
        at = (math.log10(seconds * 1000) - first) / (last - first)
        counts[min(_COLUMNS - 1, max(0, int(at * _COLUMNS)))] += count
    width = (last - first) / _COLUMNS
    points = [(first + (number + 0.5) * width, float(count)) for number, count in enumerate(counts)]
    return Chart("How many took how long", "ms, logarithmic", "answers", ticks, [
        Series("answers", "blue", points, columns=True)
    ])  # fmt: skip


def _rates(timeline: Timeline, seconds: float) -> Chart:
    steps = _steps(timeline, seconds)
    good = [(at, step.latency.count / length) for at, length, step in steps]
    bad = [(at, step.errors / length) for at, length, step in steps]
    series = [Series("answers", "blue", good)]
    if any(y for _, y in bad):
        series.append(Series("errors", "red", bad))
    return Chart("Answers a second", "seconds", "a second", _seconds(seconds), series)


def _over_time(timeline: Timeline, seconds: float) -> Chart:
    steps = [(at, step.latency) for at, _, step in _steps(timeline, seconds) if step.latency.count]
    lines = [
        Series(name, colour, [(at, latency.percentile(share) * 1000) for at, latency in steps])
        for name, colour, share in (("p50", "blue", 0.5), ("p99", "amber", 0.99))
    ]
    return Chart("Latency over time", "seconds", "ms", _seconds(seconds), lines)


def _steps(timeline: Timeline, seconds: float) -> list[tuple[float, float, Step]]:
    """Middle, length and content of each step; a last one that was cut short says too little."""
    whole = timeline.step_seconds
    found = []
    for number, step in enumerate(timeline.steps):
        length = min(whole, seconds - number * whole)
        if number == 0 or length > whole / 2:
            found.append((number * whole + length / 2, max(length, 1e-6), step))
    return found


def _seconds(seconds: float) -> list[tuple[float, str]]:
    ticks = [(value, f"{value:g}") for value in nice_ticks(seconds, 8) if value <= seconds]
    return [*ticks, (seconds, "")] if ticks[-1][0] < seconds else ticks


def _title(result: LoadResult) -> str:
    return f"Load test of {result.subject.model}"


def _subtitle(result: LoadResult) -> str:
    subject, early = result.subject, ", stopped early" if result.stopped_early else ""
    return (
        f"{subject.url}, {subject.protocol}, {loop_words(result.pace)}, "
        f"{subject.distinct_requests:,} distinct requests, {subject.started}, "
        f"{result.tally.seconds:.1f} s after {result.pace.warm_up_seconds:g} s of warm-up{early}"
    )


def _figures(result: LoadResult) -> str:
    tally = result.tally
    rows = [("requests", f"{tally.requests:,}"), ("good answers a second", f"{result.rate:,.1f}")]
    rows.append(("failed", f"{tally.failed:,} ({result.error_rate:.2%})"))
    for name, value in result.latencies_ms().items():
        rows.append((f"latency {name}", "-" if value is None else f"{value:,.2f} ms"))
    for name, value in result.timings_ms().items():
        rows.append((f"server-timing {name}, median", f"{value:,.2f} ms"))
    rows += [(f"x-cache {value}", f"{count:,}") for value, count in tally.cache.items()]
    cells = "\n".join(
        f"<tr><td>{escape(name)}</td><td class=figure>{escape(value)}</td></tr>" for name, value in rows
    )
    return f"<table>\n{cells}\n</table>"


def _errors(tally: Tally) -> str:
    if not tally.errors:
        return ""
    rows = "\n".join(
        f"<tr><td class=bad>{escape(kind)}</td><td class=figure>{error.count:,}</td>"
        f"<td>{escape(error.example)}</td></tr>"
        for kind, error in tally.errors.items()
    )
    return f"<table>\n<tr><th>error</th><th>count</th><th>the first one</th></tr>\n{rows}\n</table>"

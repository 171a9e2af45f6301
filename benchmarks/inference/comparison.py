"""Servers that were asked in turns, beside the first of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from rich.table import Table

from benchmarks.figures import percentile
from benchmarks.inference.asking import BUSIEST, Taken
from benchmarks.turns import middle

SHARE = 0.8
"""Of a rate that was just reached, in the open loops."""


@dataclass(frozen=True)
class Visit:
    """One server in one round."""

    busy: Taken
    """A closed loop of `BUSIEST`."""
    own: Taken
    """An open loop at `SHARE` of the rate of `busy`."""
    same: Taken
    """An open loop at `SHARE` of the first server's rate in this round: one rate for all."""


Visits = Mapping[str, Sequence[Visit]]
"""Of every server, round by round; the others are compared with the first."""

_FIGURES: Sequence[tuple[str, str, Callable[[Visit], float]]] = (
    ("items/s", ",.0f", lambda visit: visit.busy.sample.requests_per_second),
    ("CPU us/item", ",.0f", lambda visit: visit.busy.sample.cpu_us),
    (f"p99 at {BUSIEST}", ".2f", lambda visit: visit.busy.sample.p99_ms),
    ("p50, own rate", ".2f", lambda visit: visit.own.sample.p50_ms),
    ("p99, own rate", ".2f", lambda visit: visit.own.sample.p99_ms),
    ("p50, same rate", ".2f", lambda visit: visit.same.sample.p50_ms),
    ("p99, same rate", ".2f", lambda visit: visit.same.sample.p99_ms),
)
_WINDOWS: Sequence[tuple[str, Callable[[Visit], Taken]]] = (
    (f"at {BUSIEST}", lambda visit: visit.busy),
    ("own rate", lambda visit: visit.own),
    ("same rate", lambda visit: visit.same),
)


def tables(visits: Visits, settings: Mapping[str, str]) -> list[Table]:
    """Medians; ratios to the first server with the middle half of them; p99 of all rounds as one."""
    return [_medians(visits, settings), _ratios(visits), _tails(visits)]


def _medians(visits: Visits, settings: Mapping[str, str]) -> Table:
    made = _table("medians of the rounds, ms", "server", "setting", *(name for name, _, _ in _FIGURES))
    for name, taken in visits.items():
        figures = (format(median(map(value, taken)), form) for _, form, value in _FIGURES)
        made.add_row(name, settings[name], *figures)
    return made


def _ratios(visits: Visits) -> Table:
    base = next(iter(visits))
    title = f"x {base}, round by round: the median, with the quartiles"
    made = _table(title, "server", *(name for name, _, _ in _FIGURES))
    for name, taken in visits.items():
        pairs = list(zip(taken, visits[base], strict=True))
        ratios = ([value(one) / value(other) for one, other in pairs] for _, _, value in _FIGURES)
        made.add_row(name, *map(middle, ratios))
    return made


def _tails(visits: Visits) -> Table:
    base = next(iter(visits))
    columns = (column for name, _ in _WINDOWS for column in (name, f"{name}, x {base}"))
    made = _table("p99 of all rounds' answers together, ms", "server", *columns)
    for name, taken in visits.items():
        cells = []
        for _, window in _WINDOWS:
            tail = _tail(map(window, taken))
            cells += [f"{tail:.2f}", f"{tail / _tail(map(window, visits[base])):.2f}"]
        made.add_row(name, *cells)
    return made


def _tail(windows: Iterable[Taken]) -> float:
    return percentile(sorted(latency for taken in windows for latency in taken.latencies_ms), 0.99)


def _table(title: str, *columns: str) -> Table:
    made = Table(title=title, title_justify="left")
    for number, column in enumerate(columns):
        made.add_column(column, justify="left" if number == 0 or column == "setting" else "right")
    return made

"""Charts as SVG: one frame with axes, lines and columns in it. Colours come from classes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 760, 250
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 24, 40, 40
_INNER_WIDTH, _INNER_HEIGHT = WIDTH - _LEFT - _RIGHT, HEIGHT - _TOP - _BOTTOM

Point = tuple[float, float]
Tick = tuple[float, str]

STYLE = """
svg { font: 12px system-ui, sans-serif; }
.title { font-size: 14px; font-weight: 600; fill: var(--ink); }
.label { fill: var(--soft); }
.grid { stroke: var(--grid); stroke-width: 1; }
.line { fill: none; stroke-width: 2; stroke-linejoin: round; }
.blue { stroke: #2a78d6; } .amber { stroke: #c2701c; } .red { stroke: #c9372c; }
.fill-blue { fill: #2a78d6; } .fill-amber { fill: #c2701c; } .fill-red { fill: #c9372c; }
:root { --ink: #1c2024; --soft: #60646c; --grid: #e3e5e9; --paper: #ffffff; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #edeef0; --soft: #b0b4ba; --grid: #33363b; --paper: #16181b; }
}
"""


@dataclass(frozen=True)
class Series:
    """One line, or columns, of points sorted by x. `colour` is blue, amber or red."""

    name: str
    colour: str
    points: Sequence[Point]
    columns: bool = False


@dataclass(frozen=True)
class Chart:
    """A frame. `x_ticks` lie in the units of x and span the axis; y starts at 0."""

    title: str
    x_label: str
    y_label: str
    x_ticks: Sequence[Tick]
    series: Sequence[Series]

    def svg(self, top: int = 0) -> str:
        """A group of WIDTH x HEIGHT pixels, `top` pixels down."""
        highest = max((y for each in self.series for _, y in each.points), default=0.0)
        y_ticks = nice_ticks(highest)
        parts = [f'<g transform="translate(0 {top})">', _text(_LEFT, 18, self.title, "title")]
        parts += self._legend()
        limit = y_ticks[-1] or 1.0
        for value in y_ticks:
            y = _y(value, limit)
            parts.append(f'<line class="grid" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
            parts.append(_text(_LEFT - 8, y + 4, f"{value:,g}", "label", "end"))
        for value, words in self.x_ticks:
            parts.append(_text(self._x(value), HEIGHT - _BOTTOM + 17, words, "label", "middle"))
        parts.append(_text(_LEFT + _INNER_WIDTH / 2, HEIGHT - 6, self.x_label, "label", "middle"))
        parts.append(_text(_LEFT - 8, _TOP - 14, self.y_label, "label", "end"))
        parts += [self._drawn(each, limit) for each in self.series]
        return "\n".join([*parts, "</g>"])

    def _x(self, value: float) -> float:
        low, high = self.x_ticks[0][0], self.x_ticks[-1][0]
        return _LEFT + (value - low) / ((high - low) or 1.0) * _INNER_WIDTH

    def _legend(self) -> list[str]:
        if len(self.series) < 2:
            return []
        parts, x = [], WIDTH - _RIGHT
        for each in reversed(self.series):
            parts.append(_text(x, 18, each.name, "label", "end"))
            x -= 7 * len(each.name) + 14
            parts.append(f'<rect class="fill-{each.colour}" x="{x}" y="9" width="9" height="9" rx="2"/>')
            x -= 14
        return parts

    def _drawn(self, series: Series, limit: float) -> str:
        if series.columns:
            return self._columns(series, limit)
        points = [(self._x(x), _y(y, limit)) for x, y in series.points]
        if len(points) == 1:
            ((x, y),) = points
            return f'<circle class="fill-{series.colour}" cx="{x:.1f}" cy="{y:.1f}" r="3"/>'
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        return f'<polyline class="line {series.colour}" points="{path}"/>'

    def _columns(self, series: Series, limit: float) -> str:
        width = max(2.0, _INNER_WIDTH / max(1, len(series.points)) - 1)
        parts = []
        for x, y in series.points:
            at, top = self._x(x), _y(y, limit)
            tall = _TOP + _INNER_HEIGHT - top
            place = f'x="{at - width / 2:.1f}" y="{top:.1f}" width="{width:.1f}" height="{tall:.1f}"'
            parts.append(f'<rect class="fill-{series.colour}" {place}/>')
        return "".join(parts)


def _y(value: float, limit: float) -> float:
    return _TOP + _INNER_HEIGHT * (1 - value / limit)


def _text(x: float, y: float, words: str, kind: str, anchor: str = "start") -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'


def nice_ticks(highest: float, number: int = 4) -> list[float]:
    """About `number` round steps from 0 to at least `highest`."""
    if not highest > 0:
        return [0.0, 1.0]
    rough = highest / number
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= rough * (1 - 1e-9))
    count = math.ceil(highest / step * (1 - 1e-9))
    return [float(f"{step * at:.12g}") for at in range(count + 1)]


def log_ticks(low: float, high: float) -> list[Tick]:
    """Ticks in decades of positive values, as their logarithms; 1, 2 and 5 of each where there is room."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high) + 1e-9)
    factors = (1,) if last - first > 3 else (1, 2, 5)
    values = [10.0**power * factor for power in range(first, last + 1) for factor in factors]
    below = [value for value in values if value <= low]
    above = [value for value in values if value >= high]
    start, end = below[-1], above[0] if above else values[-1]
    return [(math.log10(value), f"{value:g}") for value in values if start <= value <= end]

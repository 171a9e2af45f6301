"""Numbers as people write them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from trireme_cli.predict.items import BadItem, Item, Origin, RowItem


def is_number(cell: str) -> bool:
    """Whether a cell of a table reads as a number."""
    try:
        float(cell)
    except ValueError:
        return False
    return True


def split_numbers(text: str) -> list[str]:
    """`1, 2,3` or `[1, 2, 3]` as its cells."""
    inner = text.strip().removeprefix("[").removesuffix("]")
    return [cell.strip() for cell in inner.split(",")]


def row(origin: Origin, cells: Sequence[Any], names: Sequence[str] = ()) -> Item:
    """A row of finite numbers, or the BadItem that says which cell is none."""
    numbers = []
    for position, cell in enumerate(cells):
        where = f"column {names[position]!r}" if position < len(names) else f"number {position + 1}"
        try:
            number = float("x" if isinstance(cell, bool) else cell)
        except (TypeError, ValueError):
            return BadItem(origin, "invalid_argument", f"{where}: {cell!r} is not a number")
        if not math.isfinite(number):
            return BadItem(origin, "non_finite_number", f"{where}: {cell!r} is not a finite number")
        numbers.append(number)
    return RowItem(origin, tuple(numbers))

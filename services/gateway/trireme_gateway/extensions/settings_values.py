"""Checks of the values that callers give for settings, worded as Triton words them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from trireme_common.errors import Code, TriremeError


def refuse(detail: str) -> TriremeError:
    return TriremeError(Code.INVALID_ARGUMENT, detail)


def check_known(given: Mapping[str, Any], known: Collection[str], kind: str) -> None:
    """Raises TriremeError(INVALID_ARGUMENT) for a setting that there is not."""
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise refuse(f"there is no {kind} setting '{unknown[0]}'; there are {', '.join(known)}")


def boolean(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise refuse(f"expect boolean for '{name}'")
    return value


def whole_number(name: str, value: Any, least: int, most: int) -> int:
    """A number, or a string of its digits; both ends belong to the range."""
    if isinstance(value, str):
        digits = value.removeprefix("-")
        number = int(value) if digits.isascii() and digits.isdigit() and len(digits) < 20 else None
    else:
        number = value if isinstance(value, int) and not isinstance(value, bool) else None
    if number is None:
        raise refuse(f"Unable to parse '{name}', got: {_shown(value)}")
    if not least <= number <= most:
        raise refuse(
            f"Unable to parse '{name}', value is out of range [ {least}, {most} ], got: {_shown(value)}"
        )
    return number


def _shown(value: Any) -> str:
    return str(value)[:64]

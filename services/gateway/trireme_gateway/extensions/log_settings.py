"""Triton's log settings: what they mean, and which changes of them are taken."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from trireme_common.logs import LEVELS, levels_from
from trireme_gateway.extensions.settings_values import boolean, check_known, refuse, whole_number

KEYS = ("log_file", "log_info", "log_warning", "log_error", "log_verbose_level", "log_format")
FORMATS = ("default", "ISO8601")
_MAX_VERBOSE_LEVEL = 2**32 - 1


@dataclass(frozen=True, slots=True)
class LogSettings:
    """Which lines are written: one switch a severity, as Triton has it, not a least severity."""

    info: bool = True
    warning: bool = True
    error: bool = True
    verbose_level: int = 0
    """From 1 on, lines of severity debug are written too."""
    format: str = "default"
    """`default` is the form that the gateway was started with, `ISO8601` text lines."""

    @classmethod
    def at(cls, level: str) -> LogSettings:
        """The settings that TRIREME_LOG_LEVEL says."""
        written = levels_from(level)
        return cls(
            "info" in written, "warning" in written, "error" in written, int("debug" in written), FORMATS[0]
        )

    @property
    def levels(self) -> frozenset[str]:
        """The severities that are written."""
        switches = (self.verbose_level > 0, self.info, self.warning, self.error)
        return frozenset(level for level, on in zip(LEVELS, switches, strict=True) if on)

    def values(self) -> dict[str, bool | int | str]:
        """As Triton answers them."""
        return {"log_file": "", **{f"log_{name}": value for name, value in asdict(self).items()}}

    def changed(self, given: Mapping[str, Any]) -> LogSettings:
        """With the settings that are given; null leaves one as it is.

        Raises TriremeError(INVALID_ARGUMENT) for a value that a setting cannot have, the place of the
        log among them.
        """
        check_known(given, KEYS, "log")
        given = {name: value for name, value in given.items() if value is not None}
        if given.pop("log_file", "") != "":
            raise refuse(
                "log file location can not be updated through network protocol; "
                "the log goes to standard error"
            )
        found: dict[str, Any] = {}
        for name, value in given.items():
            field = name.removeprefix("log_")
            if field == "verbose_level":
                if isinstance(value, str):
                    raise refuse(f"expect int32 for '{name}'")
                found[field] = whole_number(name, value, 0, _MAX_VERBOSE_LEVEL)
            elif field == "format":
                found[field] = _format(name, value)
            else:
                found[field] = boolean(name, value)
        return replace(self, **found)


def _format(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise refuse(f"expect string for '{name}'")
    if value not in FORMATS:
        raise refuse(f"invalid argument for {name}, got: {value[:64]}; there are {', '.join(FORMATS)}")
    return value

"""Lone surrogates among the escapes of a JSON text that arrives in parts.

`\\ud83d\\ude00` is one character, but half of such a pair is none: the strict parser of whole bodies refuses
it. The parser that reads a body in parts makes `?`, or another character, of it.
"""

from __future__ import annotations

import re

_WHOLE = re.compile(
    rb"""(?:
        [^\\]++
      | \\[^u]
      | \\u[^dD]...
      | \\u[dD][0-7]..
      | \\u[dD][89abAB]..\\u[dD][c-fC-F]..
    )*+""",
    re.DOTALL | re.VERBOSE,
)
"""All of a text up to an escape that has not ended, or is wrong."""
_UNENDED = re.compile(
    rb"""\\(?:u(?:
        [^dD].{0,2}
      | [dD](?: [0-7].? | [89abAB](?: .{0,2} | ..\\(?:u(?:[dD](?:[c-fC-F].?)?)?)? ) )?
    )?)?""",
    re.DOTALL | re.VERBOSE,
)
"""An escape, or the two of a pair, of which the rest may still come."""


class Surrogates:
    """Follows one JSON text. Digits that are none are left to the parser."""

    def __init__(self) -> None:
        self._unended = b""

    def first_lone(self, chunk: bytes) -> int | None:
        """Where in the next part of the text it cannot go on without a lone surrogate: the bytes before are
        right. None where all is, or may still become so."""
        if not self._unended and b"\\" not in chunk:
            return None
        text = self._unended + chunk
        found = _WHOLE.match(text)
        end = 0 if found is None else found.end()
        if end < len(text) and _UNENDED.fullmatch(text, end) is None:
            # What came before has gone to the parser, which makes nothing of half an escape.
            return max(0, end - len(self._unended))
        self._unended = text[end:]
        return None

"""`config.pbtxt`: protobuf's text format to a message, with the line of every key that stands in it.

Protobuf's own parser either refuses unknown names or drops them without a word. Here the file is walked
by its tokens first: a name that only a later Triton knows is reported and blanked out, and the parser
reads the rest. A 10 MB file, or one that is nested without end, is refused.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from google.protobuf import text_format
from google.protobuf.descriptor import Descriptor

from trireme_common.errors import SpecError
from trireme_protos.inference.model_config_pb2 import ModelConfig

MAX_BYTES = 256 * 1024
_MAX_DEPTH = 16
_MAX_QUOTED = 240
_CLOSING = {"{": "}", "<": ">"}

Path_ = tuple[str | int, ...]


@dataclass(frozen=True)
class ParsedConfig:
    """A config.pbtxt. Keys of `lines` are names and, below a repeated message, positions from 0."""

    path: Path
    message: ModelConfig
    lines: dict[Path_, int] = field(default_factory=dict)
    unknown: tuple[str, ...] = ()
    """Dotted names that Triton's configuration as we know it does not have, each with its line."""

    def line(self, *at: str | int) -> int:
        """Line, from 1, of the key at `at`, or of its nearest parent that stands in the file."""
        while at and at not in self.lines:
            at = at[:-1]
        return self.lines.get(at, 1)

    def error(self, problem: str, *at: str | int) -> SpecError:
        """What is wrong with the key at `at`, with file and line."""
        key = ".".join(map(str, at))
        return SpecError(f"{self.path}, line {self.line(*at)}: {f'{key}: ' if key else ''}{problem}")


def read_config(path: Path) -> ParsedConfig:
    """Reads one file. Raises SpecError naming file, line and what is wrong."""
    with path.open("rb") as file:
        data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise SpecError(f"{path}: larger than {MAX_BYTES} bytes")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise SpecError(f"{path}, line {line}: not UTF-8") from error
    try:
        walk = _Walk(text)
        walk.message(cast(Descriptor, ModelConfig.DESCRIPTOR), ())
        message = text_format.Parse(walk.known_text(), ModelConfig())
    except text_format.ParseError as error:
        raise SpecError(f"{path}, {_describe(error)}") from error
    return ParsedConfig(path, message, walk.lines, tuple(walk.unknown))


def _describe(error: text_format.ParseError) -> str:
    line, column = error.GetLine(), error.GetColumn()
    where = f"{line}:{column} : " if column is not None else f"{line} : "
    problem = str(error).removeprefix(where).rstrip(".")
    if len(problem) > _MAX_QUOTED:  # it quotes the whole line
        problem = f"... {problem[-_MAX_QUOTED:]}"
    return f"line {line or 1}: {problem}"


class _Walk:
    """One pass over the tokens. What it does not look at, values for one, is the parser's to judge."""

    def __init__(self, text: str) -> None:
        self._text = text.split("\n")
        self._tokens = text_format.Tokenizer(list(self._text))
        self.lines: dict[Path_, int] = {}
        self.unknown: list[str] = []

    def known_text(self) -> str:
        """The file, blank where unknown fields stood."""
        return "\n".join(self._text)

    def message(self, descriptor: Descriptor | None, at: Path_, closing: str = "", depth: int = 0) -> None:
        """Fields up to `closing`; `descriptor` is None inside of what is unknown."""
        if depth > _MAX_DEPTH:
            raise self._error(f"nested deeper than {_MAX_DEPTH} levels")
        seen: dict[str, int] = {}
        while not (self._tokens.AtEnd() or self._tokens.LookingAt(closing)):
            start = self._position()
            known = self._field(descriptor, at, seen, depth)
            if not self._tokens.TryConsume(","):
                self._tokens.TryConsume(";")
            if not known:
                self._blank(start, self._position())
        if closing:
            self._tokens.Consume(closing)

    def _field(self, descriptor: Descriptor | None, at: Path_, seen: dict[str, int], depth: int) -> bool:
        """One field with its values; False where its message does not have it."""
        line = self._position()[0] + 1
        name = self._tokens.ConsumeIdentifier()
        known = descriptor.fields_by_name.get(name) if descriptor is not None else None
        here = (*at, name)
        if known is not None:
            self.lines.setdefault(here, line)
        elif descriptor is not None:
            dotted = ".".join(part for part in here if isinstance(part, str))
            self.unknown.append(f"{dotted} (line {line})")
        inner = known.message_type if known is not None else None
        repeated = known is not None and known.is_repeated
        self._tokens.TryConsume(":")
        several = self._tokens.TryConsume("[")
        while not (several and self._tokens.TryConsume("]")):
            position = seen[name] = seen.get(name, -1) + 1
            self._value(inner, (*here, position) if repeated and inner else here, depth)
            if not several:
                break
            self._tokens.TryConsume(",")
        return known is not None or descriptor is None

    def _value(self, descriptor: Descriptor | None, at: Path_, depth: int) -> None:
        for opening, closing in _CLOSING.items():
            line = self._position()[0] + 1
            if self._tokens.TryConsume(opening):
                self.lines.setdefault(at, line)
                self.message(descriptor, at, closing, depth + 1)
                return
        self._tokens.TryConsume("-")
        if self._tokens.AtEnd() or self._tokens.token in "]}>":
            raise self._error("a value is expected")
        quoted = self._tokens.token[:1] in "'\""
        self._tokens.NextToken()
        while quoted and self._tokens.token[:1] and self._tokens.token[0] in "'\"":
            self._tokens.NextToken()

    def _error(self, problem: str) -> text_format.ParseError:
        """`problem`, with the place of the token that comes next."""
        return self._tokens.ParseError(problem)  # type: ignore[arg-type]  # its stub takes messages

    def _position(self) -> tuple[int, int]:
        """Line and column, from 0, of the token that comes next."""
        if self._tokens.AtEnd():
            return len(self._text), 0
        here = self._error("")
        return (here.GetLine() or 1) - 1, (here.GetColumn() or 1) - 1

    def _blank(self, start: tuple[int, int], end: tuple[int, int]) -> None:
        for number in range(start[0], min(end[0] + 1, len(self._text))):
            line = self._text[number]
            first = start[1] if number == start[0] else 0
            last = end[1] if number == end[0] else len(line)
            self._text[number] = line[:first] + " " * (last - first) + line[last:]

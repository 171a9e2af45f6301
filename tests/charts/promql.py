"""As much of PromQL as the checks need: which metrics a query reads, and whether it gives one series.

Operators have no precedence here: neither question depends on it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

_TOKEN = re.compile(
    r"""\s*(?:
    (?P<string>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')
    |(?P<matchers>\{(?:"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|[^}"'])*\})
    |(?P<range>\[[^\]]*\])
    |(?P<number>(?:0x[0-9a-fA-F]+|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)(?:ms|[smhdwy])?(?:\d+(?:ms|[smhdwy]))*)
    |(?P<word>\$?[a-zA-Z_:][a-zA-Z0-9_:]*)
    |(?P<operator>==|!=|>=|<=|[-+*/%^<>(),@])
    )""",
    re.VERBOSE,
)
_AGGREGATIONS = {
    "sum", "avg", "min", "max", "count", "group", "stddev", "stdvar", "quantile", "topk", "bottomk",
    "count_values",
}  # fmt: skip
_BINARY = {"and", "or", "unless", "atan2"}
_MATCHING = {"on", "ignoring", "group_left", "group_right"}
_SINGLE = {"scalar", "vector", "time", "pi", "absent"}


class BadQuery(ValueError):
    """What is no PromQL, as far as this reads it."""


@dataclass
class Node:
    """Part of a query: `kind` is selector, number, string, call, aggregation or operation. `labels` are those
    that an aggregation keeps, None where it keeps all but some."""

    kind: str
    name: str = ""
    children: list[Node] = field(default_factory=list)
    labels: tuple[str, ...] | None = ()

    def walk(self) -> Iterator[Node]:
        yield self
        for child in self.children:
            yield from child.walk()


def parse(query: str) -> Node:
    """The query as a tree. Raises BadQuery."""
    reader = _Reader(query)
    node = reader.expression()
    if reader.kind:
        raise BadQuery(f"{query!r}: nothing fits {reader.text!r}")
    return node


def metrics(query: str) -> set[str]:
    """Names of the metrics that a query reads. Raises BadQuery."""
    return {node.name for node in parse(query).walk() if node.kind == "selector"}


def is_one_series(query: str) -> bool:
    """Whether a query cannot give more than one series, whatever pods there are. Raises BadQuery."""
    return _single(parse(query))


def _single(node: Node) -> bool:
    if node.kind in ("number", "string") or (node.kind == "call" and node.name in _SINGLE):
        return True
    if node.kind == "selector":
        return False
    if node.kind == "aggregation":
        return node.labels == () and node.name not in ("topk", "bottomk", "count_values")
    if node.name == "histogram_quantile":
        inner = node.children[1]
        return inner.kind == "aggregation" and inner.labels in ((), ("le",))
    return bool(node.children) and all(_single(child) for child in node.children)


class _Reader:
    def __init__(self, query: str) -> None:
        self._query = query
        self._at = 0
        self.kind = self.text = ""
        self._next()

    def expression(self) -> Node:
        """Operands with operators between them."""
        operands = [self._operand()]
        while (self.kind == "operator" and self.text not in "(),@") or self.text in _BINARY:
            self._next()
            if self.text == "bool":
                self._next()
            while self.text in _MATCHING:
                self._next()
                if self.text == "(":
                    self._labels()
            operands.append(self._operand())
        return operands[0] if len(operands) == 1 else Node("operation", "", operands)

    def _operand(self) -> Node:
        while self.text in ("+", "-") and self.kind == "operator":
            self._next()
        node = self._primary()
        while True:
            if self.kind == "range":
                self._next()
            elif self.text in ("offset", "@"):
                self._next()
                self._operand()
            else:
                return node

    def _primary(self) -> Node:
        kind, text = self.kind, self.text
        if text == "(" and kind == "operator":
            (inner,) = self._arguments()
            return inner
        if kind not in ("number", "string", "word", "matchers"):
            raise BadQuery(f"{self._query!r}: nothing fits {text!r}")
        self._next()
        if kind in ("number", "string"):
            return Node(kind, text)
        if kind == "matchers":
            return Node("selector", "")
        if text in _AGGREGATIONS and (self.text in ("(", "by", "without")):
            return self._aggregation(text)
        if self.text == "(" and self.kind == "operator":
            return Node("call", text, self._arguments())
        if self.kind == "matchers":
            self._next()
        return Node("selector", text)

    def _aggregation(self, name: str) -> Node:
        kept: tuple[str, ...] | None = ()
        children: list[Node] = []
        for _ in range(2):
            if self.text in ("by", "without"):
                by = self.text == "by"
                self._next()
                labels = self._labels()
                kept = labels if by else None
            elif self.text == "(" and not children:
                children = self._arguments()
        return Node("aggregation", name, children, kept)

    def _arguments(self) -> list[Node]:
        self._take("(")
        found = []
        while self.text != ")":
            found.append(self.expression())
            if self.text == ",":
                self._next()
        self._take(")")
        return found

    def _labels(self) -> tuple[str, ...]:
        self._take("(")
        found = []
        while self.kind == "word":
            found.append(self.text)
            self._next()
            if self.text == ",":
                self._next()
        self._take(")")
        return tuple(found)

    def _take(self, text: str) -> None:
        if self.text != text:
            raise BadQuery(f"{self._query!r}: {text!r} is missing before {self.text!r}")
        self._next()

    def _next(self) -> None:
        rest = self._query[self._at :]
        if not rest.strip():
            self.kind = self.text = ""
            return
        match = _TOKEN.match(rest)
        if match is None:
            raise BadQuery(f"{self._query!r}: nothing fits {rest.strip()[:20]!r}")
        self._at += match.end()
        self.kind = str(match.lastgroup)
        self.text = match[self.kind]

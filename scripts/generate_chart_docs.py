"""Writes values.schema.json and the README's table of values of each chart from its values.yaml; with
--check, compares instead.

What stands above a value in values.yaml:

    # -- What it does; goes on in the next lines.
    # @schema minimum: 1, maximum: 300

`@schema` takes JSON Schema keywords as a YAML flow map without its braces, and may stand on several
lines. A type that the default shows needs none. Three words are ours: `type` may name one of
chart_value_types.yaml; `like: gateway.image` is the schema of another value; `with: defaults` adds the
properties of another map. `like` and `type` may stand inside `items`, `properties` and `additionalProperties`
too. Maps are closed; an empty one has to say what it may hold.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

CHARTS = Path(__file__).resolve().parent.parent / "deploy" / "helm"
Schema = dict[str, Any]

TYPES: Mapping[str, Schema] = yaml.safe_load((Path(__file__).parent / "chart_value_types.yaml").read_text())
_BEGIN, _END = "<!-- values: written by `make generate` -->", "<!-- end of the values -->"
_KINDS = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array"}


class Mistake(Exception):
    """A comment in values.yaml that cannot be honoured; says where and what to do."""


@dataclass(frozen=True)
class Value:
    """One key of values.yaml. `inline` says that a map stands on one line, so that it is one row."""

    path: tuple[str, ...]
    line: int
    description: str
    annotation: Schema
    default: Any
    children: tuple[Value, ...]
    inline: bool

    @property
    def name(self) -> str:
        return ".".join(self.path)

    @property
    def opaque(self) -> bool:
        """Whether its schema is said by the annotation alone, whatever its default holds."""
        said = bool({"like", "additionalProperties"} & set(self.annotation))
        return not self.children or said or self.annotation.get("type") in TYPES


def read(text: str) -> tuple[Value, ...]:
    """The values of a chart. Raises Mistake for an annotation that is no map."""
    node = yaml.compose(text, Loader=yaml.SafeLoader)
    assert isinstance(node, yaml.MappingNode)
    return tuple(_values(node, yaml.safe_load(text), text.splitlines(), ()))


def _values(
    node: yaml.MappingNode, defaults: dict[str, Any], lines: list[str], above: tuple[str, ...]
) -> Iterator[Value]:
    for key, value in node.value:
        line, name = key.start_mark.line, str(key.value)
        description, annotation = (
            ("", {}) if node.flow_style else _comment(lines, line, key.start_mark.column)
        )
        path, default = (*above, name), defaults[name]
        children = tuple(_values(value, default, lines, path)) if isinstance(default, dict) else ()
        inline = isinstance(value, yaml.MappingNode) and bool(value.flow_style)
        yield Value(path, line + 1, description, annotation, default, children, inline)


def _comment(lines: list[str], line: int, column: int) -> tuple[str, Schema]:
    first = line
    while first > 0 and lines[first - 1].startswith(" " * column + "#"):
        first -= 1
    above = [one.strip().removeprefix("#").strip() for one in lines[first:line]]
    words: list[str] = []
    keywords: list[str] = []
    for text in above:
        if text.startswith("@schema"):
            keywords.append(text.removeprefix("@schema").strip())
        elif text.startswith("--"):
            words = [text.removeprefix("--").strip()]
        elif words:
            words.append(text)
    try:
        annotation = yaml.safe_load("{" + ", ".join(keywords) + "}")
    except yaml.YAMLError as error:
        raise Mistake(f"line {line + 1}: `@schema {', '.join(keywords)}` is no YAML flow map") from error
    return " ".join(words), annotation


class SchemaWriter:
    """The schema of a chart's values."""

    def __init__(self, values: tuple[Value, ...]) -> None:
        self._values = values
        self._named = {value.name: value for value in _walk(values)}
        self._used: set[str] = set()

    def write(self, chart: str) -> str:
        """The schema as JSON. Raises Mistake for a value whose schema nothing says."""
        properties = {value.path[-1]: self._of(value) for value in self._values}
        definitions: Schema = {}
        while missing := sorted(self._used - set(definitions)):
            definitions.update({name: self._resolved(TYPES[name]) for name in missing})
        schema = {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "$comment": "Written from values.yaml by scripts/generate_chart_docs.py",
            "title": f"Values of the chart {chart}",
            "type": "object",
            "additionalProperties": False,
            "properties": properties,
            "$defs": dict(sorted(definitions.items())),
        }
        return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"

    def _of(self, value: Value) -> Schema:
        annotation = dict(value.annotation)
        if "like" in annotation or annotation.get("type") in TYPES:
            return self._resolved(annotation)
        shared = annotation.pop("with", None)
        if shared or not value.opaque:
            properties = self._shared(value, shared) if shared else {}
            properties |= self._resolved(annotation.pop("properties", {}))
            properties |= {child.path[-1]: self._of(child) for child in value.children}
            closed = {"type": "object", "additionalProperties": False, "properties": properties}
            return {**closed, **self._resolved(annotation)}
        kind = _KINDS.get(type(value.default))
        if kind is None and not {"type", "oneOf", "anyOf", "enum", "additionalProperties"} & set(annotation):
            raise Mistake(
                f"line {value.line}: {value.name}: say what it may hold, such as `# @schema type: strings`"
            )
        if kind == "array" and "items" not in annotation:
            raise Mistake(
                f"line {value.line}: {value.name}: say what the list holds, "
                "such as `# @schema items: {type: string}`"
            )
        if "enum" in annotation:
            return self._resolved(annotation)
        return self._resolved({"type": kind or "object", **annotation})

    def _shared(self, value: Value, name: str) -> Schema:
        source = self._target(name, value.name)
        return {child.path[-1]: {"$ref": _pointer(child.path)} for child in source.children}

    def _target(self, name: str, asking: str) -> Value:
        if name not in self._named:
            raise Mistake(f"{asking}: there is no value {name!r} to be like")
        return self._named[name]

    def _resolved(self, schema: Schema) -> Schema:
        """JSON Schema in place of the words of ours, at any depth."""
        rest = dict(schema)
        resolved: Schema = {}
        if "like" in rest:
            resolved["$ref"] = _pointer(self._target(str(rest.pop("like")), "@schema").path)
        elif isinstance(rest.get("type"), str) and rest["type"] in TYPES:
            name = rest.pop("type")
            self._used.add(name)
            resolved["$ref"] = f"#/$defs/{name}"
        return resolved | {key: self._part(one) for key, one in rest.items()}

    def _part(self, part: Any) -> Any:
        if isinstance(part, list):
            return [self._part(one) for one in part]
        return self._resolved(part) if isinstance(part, dict) else part


def _pointer(path: tuple[str, ...]) -> str:
    return "#" + "".join(f"/properties/{name}" for name in path)


def _walk(values: tuple[Value, ...]) -> Iterator[Value]:
    for value in values:
        yield value
        yield from _walk(value.children)


def table(values: tuple[Value, ...]) -> str:
    """The README's table of the values. Raises Mistake for one that nothing describes."""
    rows = [row for value in values for row in _rows(value)]
    return "\n".join(["| value | default | meaning |", "|---|---|---|", *rows])


def _rows(value: Value) -> Iterator[str]:
    if value.opaque or (value.inline and value.description):
        meaning = value.description
        if "like" in value.annotation:
            meaning = f"{meaning} As `{value.annotation['like']}`.".strip()
        if not meaning:
            raise Mistake(
                f"line {value.line}: {value.name}: say what it does in a comment `# -- ...` above it"
            )
        choices = [
            f"`{choice}`" for choice in value.annotation.get("enum", ()) if f"`{choice}`" not in meaning
        ]
        if choices:
            meaning += f" One of {', '.join(choices)}."
        default = json.dumps(value.default, ensure_ascii=False).replace("|", "\\|")
        yield f"| `{value.name}` | `{default}` | {_cell(meaning)} |"
        return
    if "with" in value.annotation:
        meaning = (
            f"{value.description} Everything under `{value.annotation['with']}` may be said here too.".strip()
        )
        yield f"| `{value.name}` | | {_cell(meaning)} |"
    for child in value.children:
        yield from _rows(child)


def _cell(text: str) -> str:
    return re.sub(r"\s+", " ", text).replace("|", "\\|")


def pages(folder: Path) -> dict[Path, str]:
    """What the generated files of a chart should hold. Raises Mistake."""
    try:
        values = read((folder / "values.yaml").read_text())
        schema, rows = SchemaWriter(values).write(folder.name), table(values)
    except Mistake as mistake:
        raise Mistake(f"{folder.name}/values.yaml, {mistake}") from mistake
    readme = (folder / "README.md").read_text()
    before, begin, rest = readme.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not (begin and end):
        raise Mistake(f"{folder.name}/README.md: the lines {_BEGIN!r} and {_END!r} say where the table goes")
    return {
        folder / "values.schema.json": schema,
        folder / "README.md": f"{before}{begin}\n{rows}\n{end}{after}",
    }


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="exit 1 if a committed file is not fresh")
    check = parser.parse_args().check
    try:
        wanted = [pages(path.parent) for path in sorted(CHARTS.glob("*/Chart.yaml"))]
    except Mistake as mistake:
        print(mistake, file=sys.stderr)
        return 1
    stale = [
        (path, text)
        for chart in wanted
        for path, text in chart.items()
        if not path.is_file() or path.read_text() != text
    ]
    for path, text in stale:
        if check:
            print(f"{path.relative_to(CHARTS.parents[1])} is stale, run `make generate`", file=sys.stderr)
        else:
            path.write_text(text)
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())

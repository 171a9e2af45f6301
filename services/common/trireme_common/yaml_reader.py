"""YAML for configuration files: no aliases, no tags, no duplicate keys, a size limit, and the line
of every value, so that an error can name it. A 10 MB file or an alias bomb is refused unread."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from trireme_common.errors import SpecError

MAX_BYTES = 256 * 1024
_MAX_DEPTH = 16
# Ten times as fast where PyYAML was built with libyaml: a stage reads every model.yaml at every look.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True)
class Document:
    """Plain values and the line (from 1) on which each stands, by its path of keys and positions."""

    value: Any
    lines: dict[tuple[str | int, ...], int] = field(default_factory=dict)

    def line(self, path: tuple[str | int, ...]) -> int:
        """Line of the value at `path`, or of its nearest parent that stands in the file."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)


def read_yaml(path: Path) -> Document:
    """Reads one file. Raises SpecError naming file, line and what is wrong."""
    with path.open("rb") as file:
        text = file.read(MAX_BYTES + 1)
    if len(text) > MAX_BYTES:
        raise SpecError(f"{path}: larger than {MAX_BYTES} bytes")
    lines: dict[tuple[str | int, ...], int] = {}
    try:
        # Events come before aliases are resolved, so a bomb is never expanded.
        _refuse_aliases(text, path)
        loader = _LOADER(text)
        try:
            node = loader.get_single_node()
            value = None if node is None else _build(loader, node, (), lines, path)
        finally:
            loader.dispose()
    except (yaml.YAMLError, ValueError) as error:
        raise SpecError(f"{path}: {_describe(error)}") from error
    return Document(value, lines)


def _refuse_aliases(text: bytes, path: Path) -> None:
    depth = 0
    for event in yaml.parse(text, Loader=_LOADER):
        line = event.start_mark.line + 1 if event.start_mark else 1
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise SpecError(f"{path}, line {line}: anchors and aliases are not accepted")
        if isinstance(event, yaml.NodeEvent) and getattr(event, "tag", None):
            raise SpecError(f"{path}, line {line}: tags are not accepted")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _MAX_DEPTH:
            raise SpecError(f"{path}, line {line}: nested deeper than {_MAX_DEPTH} levels")


def _build(
    loader: Any,
    node: yaml.Node,
    at: tuple[str | int, ...],
    lines: dict[tuple[str | int, ...], int],
    path: Path,
) -> Any:
    lines[at] = node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        mapping: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = str(key_node.value)
            if key in mapping:
                raise SpecError(f"{path}, line {key_node.start_mark.line + 1}: '{key}' stands twice")
            mapping[key] = _build(loader, value_node, (*at, key), lines, path)
            lines[(*at, key)] = key_node.start_mark.line + 1
        return mapping
    if isinstance(node, yaml.SequenceNode):
        return [_build(loader, item, (*at, i), lines, path) for i, item in enumerate(node.value)]
    return loader.construct_object(node, deep=True)


def _describe(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or str(error).splitlines()[0]
    return f"line {mark.line + 1}: {problem}" if mark else problem

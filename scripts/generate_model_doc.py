"""Writes docs/model-yaml.md and docs/model.schema.json from model.yaml's schema; with --check, compares."""

from __future__ import annotations

import argparse
import ast
import inspect
import json
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from trireme_common.model_spec import ModelSpec, StepSpec

DOCS = Path(__file__).resolve().parent.parent / "docs"
_HEAD = """# model.yaml

What all versions of a model share. `make generate` writes this page from the schema, which is closed: an
unknown key or a value of another type is refused with file, line and key (`trireme models check`); a model
that is served goes on as it was. Editors read the same from [model.schema.json](model.schema.json), by
`# yaml-language-server: $schema=URL` in the first line of a model.yaml. `name` is enough for a bare model;
one with steps looks like this:

```yaml
name: reviews
task: text-classification
inputs:
  - {name: input_ids, datatype: INT64, shape: [-1, -1]}
  - {name: attention_mask, datatype: INT64, shape: [-1, -1]}
outputs:
  - {name: logits, datatype: FP32, shape: [-1, 2]}
preprocess:
  - tokenize: {tokenizer: tokenizer.json, max_length: 256}
postprocess:
  - softmax
  - labels: {names: [bad, good]}
batching:
  latency_objective_ms: 50
```

| key | default | meaning |
|---|---|---|
"""


def keys(cls: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, str, str]]:
    """Path, default and meaning of every key. Raises KeyError where one is not explained."""
    explained = _meanings(cls)
    for name, field in cls.model_fields.items():
        nested, many = _nested(field.annotation)
        yield f"{prefix}{name}", _default(field), f"{explained[name]}{_choices(field)}"
        if nested is not None and nested is not StepSpec:
            yield from keys(nested, f"{prefix}{name}{'[]' if many else ''}.")


def _meanings(cls: type[BaseModel]) -> dict[str, str]:
    """The docstring under each field."""
    body = ast.parse(inspect.getsource(cls)).body[0].body  # type: ignore[attr-defined]
    return {
        field.target.id: " ".join(text.value.value.split()).replace("|", "\\|")  # type: ignore[attr-defined, union-attr]
        for field, text in pairwise(body)
        if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr)
    }


def _nested(annotation: Any) -> tuple[type[BaseModel] | None, bool]:
    if get_origin(annotation) is tuple:
        return _nested(get_args(annotation)[0])[0], True
    return (annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None), False


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if value is None or value == () or value == {} or isinstance(value, BaseModel):
        return ""
    return f"`{json.dumps(value)}`".replace('"', "")


def _choices(field: FieldInfo) -> str:
    words = [word for part in (field.annotation, *get_args(field.annotation)) for word in get_args(part)]
    words = [word for word in words if isinstance(word, str)]
    return " One of " + ", ".join(f"`{word}`" for word in dict.fromkeys(words)) + "." if words else ""


def schema() -> dict[str, Any]:
    """JSON Schema of the file; a step may also be its bare name or `name: {parameters}`."""
    found = ModelSpec.model_json_schema()
    found["$defs"]["StepSpec"] = {
        "title": "StepSpec",
        "description": StepSpec.__doc__,
        "oneOf": [
            {"type": "string"},
            {
                "type": "object",
                "minProperties": 1,
                "maxProperties": 1,
                "additionalProperties": {"type": ["object", "null"]},
            },
        ],
    }
    return found


def render() -> dict[str, str]:
    """Both files by name."""
    rows = [f"| `{key}` | {default} | {meaning} |\n" for key, default, meaning in keys(ModelSpec)]
    return {
        "model-yaml.md": _HEAD + "".join(rows),
        "model.schema.json": json.dumps(schema(), indent=2, ensure_ascii=False) + "\n",
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="exit 1 if a committed file is not fresh")
    check = parser.parse_args().check
    stale = 0
    for name, text in render().items():
        path = DOCS / name
        if not check:
            path.write_text(text, "utf-8")
        elif not path.is_file() or path.read_text("utf-8") != text:
            print(f"docs/{name} is stale, run `make generate`", file=sys.stderr)
            stale = 1
    return stale


if __name__ == "__main__":
    sys.exit(main())

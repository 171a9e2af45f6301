"""docs/steps.md, from the step classes themselves."""

from __future__ import annotations

import inspect
import json
import types
from collections.abc import Iterable
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from trireme_common.steps import Step, Vocabulary

_HEAD = """\
# Steps

What `preprocess` and `postprocess` of a model.yaml may list. This page is generated from the code:
`python scripts/generate_steps_doc.py`.

A step is a bare name, or a name with parameters:

```yaml
preprocess:
  - decode_image: {mode: L}
  - light_on_dark
```

Each step takes one item and gives one, without a batch dimension. The kinds of value are `text`,
`bytes`, `image` (uint8 or float32, [H, W] or [H, W, C]), `numbers` (float64 [k]), `tensors` (what the
model is given, by name), `scores` (float64 [C]), `classification` and `vector` (float64 [k]). A chain
that does not fit together is refused when the model is read.
"""

_NAMES = {str: "text", int: "integer", float: "number", bool: "true or false", type(None): "nothing"}


def render(vocabularies: Iterable[Vocabulary]) -> str:
    """Markdown of all steps, a section a vocabulary."""
    sections = [_HEAD]
    for vocabulary in vocabularies:
        sections.append(f"## {vocabulary.stage.capitalize()}\n")
        sections.extend(_step(step) for step in vocabulary)
    return "\n".join(sections)


def _step(step: type[Step]) -> str:
    gives = step.gives or "the same"
    lines = [f"### `{step.name}`", "", f"Takes {' or '.join(step.takes)}, gives {gives}.", ""]
    lines += [inspect.cleandoc(step.__doc__ or ""), ""]
    if step.model_fields:
        lines += ["| parameter | type | default | |", "|---|---|---|---|"]
        lines += [_row(name, field) for name, field in step.model_fields.items()]
        lines.append("")
    return "\n".join(lines)


def _row(name: str, field: FieldInfo) -> str:
    default = "required" if field.default is PydanticUndefined else f"`{_literal(field.default)}`"
    kind = _type(field.annotation).replace("|", "\\|")
    return f"| `{name}` | {kind} | {default} | {field.description or ''} |"


def _literal(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _type(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if annotation in _NAMES:
        return _NAMES[annotation]
    if origin is Annotated:
        return _type(arguments[0])
    if origin is Literal:
        return " | ".join(f"`{choice}`" for choice in arguments)
    if origin in (Union, types.UnionType):
        return " or ".join(_type(part) for part in arguments if part is not type(None))
    if origin is tuple:
        return f"list of {_type(arguments[0])}"
    return str(annotation)

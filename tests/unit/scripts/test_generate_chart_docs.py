"""The schema and the table of a chart's values, from the comments in values.yaml."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest

from scripts.generate_chart_docs import CHARTS, Mistake, SchemaWriter, pages, read, table

_VALUES = """\
# A remark that describes nothing.

global:
  # -- Where images come from;
  # goes on here.
  # @schema pattern: '^[^\\s]*$'
  registry: ""

# -- What all share.
defaults:
  # -- Environment.
  # @schema type: env
  env: {}
  scaling:
    # -- Fewest pods.
    # @schema minimum: 1
    min: 1

# @schema with: defaults
gateway:
  # -- How.
  # @schema enum: [a, b]
  mode: a
  # -- The image.
  image: {name: gateway, tag: ""}
  # @schema with: defaults.scaling
  scaling:
    # -- Whether.
    idle: false

# -- Pools by name.
# @schema additionalProperties: {oneOf: [{like: gateway}, {type: "null"}]}
pools:
  default: {}
# -- Ports.
# @schema items: {type: port}, uniqueItems: true
ports: [80]
cache:
  # @schema like: gateway.image
  image: {name: redis, tag: "7"}
"""


def _schema(text: str = _VALUES) -> Any:
    return json.loads(SchemaWriter(read(text)).write("boat"))


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"global": {"registry": "a/b"}},
        {"defaults": {"env": {"A": 1, "B": {"secretKeyRef": {"name": "a", "key": "b"}}}}},
        {"gateway": {"env": {"A": "x"}, "mode": "b", "scaling": {"min": 2, "idle": True}}},
        {"gateway": {"image": {"tag": "1"}}},
        {"pools": {"large": {"scaling": {"idle": True}}, "default": None}},
        {"ports": [1, 2]},
    ],
)
def test_values_that_are_described_are_taken(values: dict[str, Any]) -> None:
    jsonschema.Draft202012Validator(_schema()).validate(values)


@pytest.mark.parametrize(
    "values",
    [
        {"other": 1},
        {"global": {"registry": "a b"}},
        {"global": {"registry": 1}},
        {"defaults": {"env": {"A-B": 1}}},
        {"defaults": {"env": {"A": {"nothingRef": {}}}}},
        {"defaults": {"scaling": {"idle": True}}},
        {"gateway": {"mode": "c"}},
        {"gateway": {"image": {"digest": "x"}}},
        {"gateway": {"scaling": {"min": 0}}},
        {"pools": {"large": {"nothing": 1}}},
        {"pools": {"large": 1}},
        {"ports": [0]},
        {"ports": [1, 1]},
        {"cache": {"image": {"tag": 7}}},
    ],
)
def test_everything_else_is_refused(values: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(_schema()).validate(values)


def test_the_table_has_a_row_for_each_value_that_is_described() -> None:
    assert table(read(_VALUES)).splitlines()[2:] == [
        '| `global.registry` | `""` | Where images come from; goes on here. |',
        "| `defaults.env` | `{}` | Environment. |",
        "| `defaults.scaling.min` | `1` | Fewest pods. |",
        "| `gateway` | | Everything under `defaults` may be said here too. |",
        '| `gateway.mode` | `"a"` | How. One of `a`, `b`. |',
        '| `gateway.image` | `{"name": "gateway", "tag": ""}` | The image. |',
        "| `gateway.scaling` | | Everything under `defaults.scaling` may be said here too. |",
        "| `gateway.scaling.idle` | `false` | Whether. |",
        '| `pools` | `{"default": {}}` | Pools by name. |',
        "| `ports` | `[80]` | Ports. |",
        '| `cache.image` | `{"name": "redis", "tag": "7"}` | As `gateway.image`. |',
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("# -- Free.\na: {}\n", "line 2: a: say what it may hold"),
        ("# -- A list.\na: []\n", "line 2: a: say what the list holds"),
        ("# -- A.\n# @schema like: b\na: 1\n", "there is no value 'b'"),
        ("# -- A.\n# @schema with: b\na: {}\n", "there is no value 'b'"),
        ("# -- A.\n# @schema enum: [\na: 1\n", "line 3: `@schema enum: \\[` is no YAML flow map"),
        ("b: 1\n\n# No description.\na: 1\n", "line 1: b: say what it does"),
    ],
)
def test_a_mistake_is_named_with_its_line(text: str, words: str) -> None:
    with pytest.raises(Mistake, match=words):
        _both(text)


def _both(text: str) -> None:
    _schema(text)
    table(read(text))


@pytest.mark.parametrize("chart", sorted(path.parent.name for path in CHARTS.glob("*/Chart.yaml")))
def test_the_committed_files_are_fresh(chart: str) -> None:
    for path, text in pages(CHARTS / chart).items():
        assert path.read_text() == text, f"{path.name} is stale, run `make generate`"

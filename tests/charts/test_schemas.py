"""The hand-written schemas of custom resources, held against the projects' own where those are at hand."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.charts import schemas


def _paths(schema: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every property of a schema, at any depth, by its path."""
    if not isinstance(schema, dict):
        return
    for name, one in schema.get("properties", {}).items():
        yield f"{path}.{name}", one
        yield from _paths(one, f"{path}.{name}")
    yield from _paths(schema.get("items"), f"{path}[]")


def _takes_anything(schema: dict[str, Any]) -> bool:
    return bool(schema.get("x-kubernetes-preserve-unknown-fields")) and not schema.get("properties")


def _open(schema: Any, path: str = "") -> Iterator[str]:
    if not isinstance(schema, dict):
        return
    if schema.get("type") == "object" and "additionalProperties" not in schema:
        yield path
    for name, one in schema.get("properties", {}).items():
        yield from _open(one, f"{path}.{name}")
    yield from _open(schema.get("items"), f"{path}[]")


@pytest.mark.parametrize(("api_version", "kind"), schemas.custom_kinds())
def test_a_schema_of_ours_is_closed_and_no_wider_than_the_projects_own(api_version: str, kind: str) -> None:
    own = schemas.own_schema(api_version, kind)
    assert list(_open(own)) == []
    for full in schemas.full_schemas(api_version, kind):
        known = dict(_paths(full["properties"]["spec"]))
        ours = dict(_paths(own["properties"]["spec"]))
        free = tuple(f"{path}." for path, one in known.items() if _takes_anything(one))
        assert [path for path in ours if path not in known and not path.startswith(free)] == []
        for path, one in ours.items():
            allowed = known.get(path, {}).get("enum")
            assert allowed is None or set(one.get("enum", [])) <= set(allowed), path


def test_a_custom_resource_is_strict_at_every_depth() -> None:
    schema = {
        "properties": {
            "spec": {
                "properties": {
                    "closed": {"type": "array", "items": {"properties": {"a": {"type": "string"}}}},
                    "open": {"properties": {}, "x-kubernetes-preserve-unknown-fields": True},
                    "map": {"additionalProperties": {"type": "string"}},
                }
            }
        }
    }
    spec = schemas.strict(schema)["properties"]["spec"]
    assert spec["additionalProperties"] is False
    assert spec["properties"]["closed"]["items"]["additionalProperties"] is False
    assert "additionalProperties" not in spec["properties"]["open"]
    assert spec["properties"]["map"]["additionalProperties"] == {"type": "string"}

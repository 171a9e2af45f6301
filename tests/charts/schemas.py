"""Strict schemas of rendered objects: Kubernetes' own kinds, and the custom resources that the charts use.

Those of custom resources stand in `crds/`, written from their documentation and holding only what the charts
may use. Where TRIREME_CRD_SCHEMAS names a folder with the projects' own files, objects are held against these
too.
"""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from tests.charts.helm import Document
from tests.charts.objects import title

_OWN = Path(__file__).parent / "crds"
_FULL = os.environ.get("TRIREME_CRD_SCHEMAS", "")
_CORE = resources.files("kubernetes_validate") / "kubernetes-json-schema"
_found: dict[tuple[str, str], tuple[str, ...]] = {}


def invalid(documents: list[Document], kube_version: str) -> Iterator[str]:
    """1: what strict schemas refuse, by object and path."""
    minor = kube_version.rpartition(".")[0]
    for document in documents:
        key = (json.dumps(document, sort_keys=True), minor)
        # Many values give the same object: each is validated once.
        if key not in _found:
            _found[key] = tuple(_refused(document, minor))
        yield from _found[key]


def _refused(document: Document, minor: str) -> Iterator[str]:
    validators = _custom(document["apiVersion"], document["kind"]) or _core(
        document["apiVersion"], document["kind"], minor
    )
    if not validators:
        yield (
            f"{title(document)}: {document['apiVersion']} is no API of Kubernetes {minor}, "
            f"and tests/charts/crds has no schema for it: write one from its documentation"
        )
    for validator in validators:
        for error in validator.iter_errors(document):
            yield f"{title(document)}: {error.json_path}: {error.message[:300]}"


@functools.cache
def _definitions(minor: str) -> tuple[str, Registry[Any]]:
    folder = next(
        one.name
        for one in _CORE.iterdir()
        if one.name.startswith(f"v{minor}.") and one.name.endswith("-strict")
    )
    contents = json.loads((_CORE / folder / "_definitions.json").read_text())
    return folder, Resource.from_contents(contents) @ Registry()


@functools.cache
def _core(api_version: str, kind: str, minor: str) -> list[Draft202012Validator]:
    folder, registry = _definitions(minor)
    group, _, version = api_version.rpartition("/")
    name = "-".join(filter(None, (kind.lower(), group.partition(".")[0], version)))
    path = _CORE / folder / f"{name}.json"
    if not path.is_file():
        return []
    return [Draft202012Validator(json.loads(path.read_text()), registry=registry)]


@functools.cache
def _custom(api_version: str, kind: str) -> list[Draft202012Validator]:
    if (api_version, kind) not in custom_kinds():
        return []
    full = [strict(schema) for schema in full_schemas(api_version, kind)]
    return [Draft202012Validator(schema) for schema in (own_schema(api_version, kind), *full)]


def own_schema(api_version: str, kind: str) -> dict[str, Any]:
    """The schema in `crds/` of a kind that has one."""
    schema: dict[str, Any] = json.loads((_OWN / f"{api_version.replace('/', '_')}_{kind}.json").read_text())
    return schema


@functools.cache
def custom_kinds() -> list[tuple[str, str]]:
    """API version and kind of every schema in `crds/`."""
    names = sorted(path.stem.rsplit("_", 2) for path in _OWN.glob("*.json"))
    return [(f"{group}/{version}", kind) for group, version, kind in names]


def full_schemas(api_version: str, kind: str) -> list[dict[str, Any]]:
    """The project's own schema, if the folder that the environment names holds it."""
    group, _, version = api_version.partition("/")
    path = Path(_FULL) / f"{group}_{kind.lower()}_{version}.json"
    if _FULL and path.is_file():
        return [json.loads(path.read_text())]
    for path in Path(_FULL).glob(f"{group}_{kind.lower()}*.yaml") if _FULL else ():
        for one in yaml.safe_load(path.read_text())["spec"]["versions"]:
            if one["name"] == version:
                return [one["schema"]["openAPIV3Schema"]]
    return []


def strict(schema: Any, *, metadata: bool = True) -> Any:
    """The schema of a custom resource, refusing what it does not know; `metadata` is that of every object."""
    if isinstance(schema, list):
        return [strict(one, metadata=False) for one in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {
        key: {name: strict(one, metadata=False) for name, one in value.items()}
        if key == "properties"
        else strict(value, metadata=False)
        for key, value in schema.items()
    }
    open_ended = schema.get("x-kubernetes-preserve-unknown-fields") or "additionalProperties" in schema
    if isinstance(schema.get("properties"), dict) and not open_ended:
        closed["additionalProperties"] = False
    if metadata:
        closed["properties"] = {**closed["properties"], "metadata": {"type": "object"}}
    return closed

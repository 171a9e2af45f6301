"""The descriptions that schemathesis reads: the protocol's own, and ours with models that are there."""

from __future__ import annotations

import json
import os
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from tests.conformance.target import ModelNames

Description = dict[str, Any]

_SUBSET = Path(__file__).with_name("protocol.yaml")
_PUBLISHED = "open_inference_rest.yaml"
_ORDERS = "/repository/"
_READ_SECONDS = 30


def protocol(model: str, version: str = "1") -> Description:
    """The protocol's published file where TRIREME_OIP_SPEC names its folder, else what we wrote of it, about
    one model. The file names its parameters in a way of its own, so they are put into the paths."""
    folder = os.environ.get("TRIREME_OIP_SPEC")
    path = Path(folder) / _PUBLISHED if folder else _SUBSET
    text = path.read_text("utf-8").replace("${MODEL_NAME}", model).replace("${MODEL_VERSION}", version)
    description: Description = yaml.safe_load(text)
    for item in description["paths"].values():
        item.pop("parameters", None)
    return description


def own(url: str, models: Sequence[str], ordered: Sequence[str]) -> Description:
    """The server's own description, in which a model is one of `models` rather than any text, and where it is
    loaded or unloaded one of `ordered`, so that what was unloaded is not asked for elsewhere."""
    with urllib.request.urlopen(f"{url}/openapi.json", timeout=_READ_SECONDS) as answer:
        description: Description = json.load(answer)
    for path, item in description["paths"].items():
        names = ordered if _ORDERS in path else models
        for operation in item.values():
            for parameter in operation.get("parameters", ()):
                if (parameter["in"], parameter["name"]) == ("path", "model"):
                    parameter["schema"] = {"type": "string", "enum": list(names)}
    return description


def own_of_suite(url: str, names: ModelNames) -> Description:
    """The server's own description, about the suite's models and those that ship."""
    shipped = [names.pipeline] if names.pipeline else []
    bare = [f"{name}.inference" for name in shipped]
    return own(url, [*shipped, *bare, names.sums, names.text, "nobody"], [names.orders, "nobody"])

"""The server that is asked, and what its models are called there."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field


@dataclass(frozen=True, slots=True)
class ModelNames:
    """Names of the models that `models.py` writes; a server may have the same ones under other names."""

    sums: str = "conformance_sums"
    types: str = "conformance_types"
    bfloat16: str = "conformance_bfloat16"
    text: str = "conformance_text"
    table: str = "conformance_table"
    versions: str = "conformance_versions"
    orders: str = "conformance_orders"
    broken: str = "conformance_broken"
    sent: str = "conformance_sent"
    """Written by no one: a load request brings its files along."""
    pipeline: str = "sentiment-zh"
    """A text classifier with pre- and postprocess; empty where the server has none."""


@dataclass(frozen=True, slots=True)
class Target:
    """`http` and `grpc` are host:port. `same_machine`: shared memory can be passed by its name.
    `idle_http` and `idle_grpc` are a server that runs and is not ready; empty where there is none to ask."""

    http: str
    grpc: str
    same_machine: bool = True
    idle_http: str = ""
    idle_grpc: str = ""
    models: ModelNames = field(default_factory=ModelNames)

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Target:
        fields = json.loads(text)
        return cls(**{**fields, "models": ModelNames(**fields["models"])})

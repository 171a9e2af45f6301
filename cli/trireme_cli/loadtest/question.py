"""What a load test is to ask."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from trireme_cli.loadtest.form import Form
from trireme_cli.predict.inputs import Inputs


@dataclass(frozen=True)
class Question:
    """What is asked for: of which model, in which form, with which items (none: made-up ones)."""

    model: str
    form: Form | None
    inputs: Inputs
    headers: Mapping[str, str]
    grpc_address: str | None = None
    """`host:port`; None is port 8081 of the platform's host."""

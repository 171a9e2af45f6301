"""Clients that were written elsewhere work unchanged: every public call, answered and refused."""

from __future__ import annotations

import pytest

from tests.conformance.casebook import NOT_SUPPORTED, PASS, Outcome
from tests.conformance.clients import CLIENTS, MAY_BE_UNSUPPORTED
from tests.conformance.report import written
from tests.conformance.suite import ROOT, Ask


@pytest.mark.parametrize("client", CLIENTS)
def test_every_call_of_a_client(client: str, ask_client: Ask) -> None:
    wrong = [outcome for outcome in ask_client(client) if not _as_promised(outcome)]
    assert not wrong, "\n" + "\n".join(
        f"{outcome.call}: {outcome.says}: {outcome.result}: {outcome.detail}" for outcome in wrong
    )


def test_the_tables_of_the_document_are_what_was_found(ask_client: Ask) -> None:
    path = ROOT / "docs" / "protocol.md"
    outcomes = [outcome for client in CLIENTS for outcome in ask_client(client)]
    document = path.read_text("utf-8")
    assert document == written(document, outcomes), (
        "docs/protocol.md is not up to date: python -m tests.conformance --write-table --url ... --grpc ..."
    )


def _as_promised(outcome: Outcome) -> bool:
    """Only shared memory of CUDA may be not supported, and nothing is left out."""
    allowed = {PASS, NOT_SUPPORTED} if outcome.call in MAY_BE_UNSUPPORTED else {PASS}
    return outcome.result in allowed

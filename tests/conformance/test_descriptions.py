"""schemathesis finds nothing wrong with what the descriptions promise: the protocol's, and our own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conformance.models import write_models
from tests.conformance.openapi.descriptions import own_of_suite, protocol
from tests.conformance.openapi.fuzz import fuzz
from tests.conformance.target import ModelNames
from tests.support.platform import Platform, copy_models, platform

_SEED = 20261121
_PHASES = "examples,coverage,fuzzing"  # calls that follow upon each other are for longer runs


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """A platform of its own, whose settings may be changed by whatever is asked."""
    models = write_models(copy_models(tmp_path_factory.mktemp("models")))
    allowed = {"TRIREME_GATEWAY_SHARED_MEMORY": "true"}
    with platform(models, tmp_path_factory.mktemp("platform"), "--redis", "off", **allowed) as started:
        yield started


def test_the_protocols_description(fuzzed: Platform) -> None:
    fuzz(protocol(ModelNames().sums), fuzzed.url, cases=30, seed=_SEED, phases=_PHASES)


def test_our_own_description(fuzzed: Platform) -> None:
    fuzz(own_of_suite(fuzzed.url, ModelNames()), fuzzed.url, cases=8, seed=_SEED, phases=_PHASES)

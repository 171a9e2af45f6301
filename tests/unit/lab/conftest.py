"""Models trained afresh.

To train takes longer than any test, and one core: the scripts begin with the session, beside the tests that
come first, and only where a test is going to ask for what they made.
"""

from __future__ import annotations

import pytest

from tests.support.training_scripts import TrainingScripts

_SCRIPTS = pytest.StashKey[TrainingScripts]()


def pytest_collection_finish(session: pytest.Session) -> None:
    wanted = any("trained" in getattr(item, "fixturenames", ()) for item in session.items)
    if wanted and not session.config.option.collectonly:
        session.config.stash[_SCRIPTS] = TrainingScripts("digits", "tabular")


def pytest_sessionfinish(session: pytest.Session) -> None:
    scripts = session.config.stash.get(_SCRIPTS, None)
    if scripts is not None:
        scripts.stop()


@pytest.fixture(scope="session")
def trained(pytestconfig: pytest.Config) -> TrainingScripts:
    """The scripts of digits and tabular, under way or ended."""
    return pytestconfig.stash[_SCRIPTS]

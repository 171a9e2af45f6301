"""docs/steps.md says what the step classes say."""

from __future__ import annotations

from pathlib import Path

import pytest

from trireme_common.steps import Vocabulary
from trireme_common.steps_doc import render
from trireme_postprocess import steps as postprocess
from trireme_preprocess import steps as preprocess

PAGE = Path(__file__).resolve().parents[3] / "docs" / "steps.md"
VOCABULARIES = [preprocess.VOCABULARY, postprocess.VOCABULARY]


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text("utf-8") == render(VOCABULARIES), "run scripts/generate_steps_doc.py"


@pytest.mark.parametrize("vocabulary", VOCABULARIES, ids=lambda vocabulary: vocabulary.stage)
def test_every_step_and_parameter_is_described(vocabulary: Vocabulary) -> None:
    for step in vocabulary:
        assert step.__doc__, step.name
        for name, field in step.model_fields.items():
            assert field.description, f"{step.name}.{name}"


def test_types_read_as_words() -> None:
    page = render(VOCABULARIES)
    assert "typing." not in page
    assert "| `names` | list of text | `null` |" in page

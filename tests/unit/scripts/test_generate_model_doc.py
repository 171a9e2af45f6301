from pathlib import Path

import jsonschema
import pytest
import yaml

from scripts.generate_model_doc import keys, render, schema
from trireme_common.model_spec import ModelSpec

ROOT = Path(__file__).resolve().parents[3]


def test_every_key_is_explained() -> None:
    found = {key: (default, meaning) for key, default, meaning in keys(ModelSpec)}
    assert set(ModelSpec.model_fields) <= set(found)
    assert found["batching.max_queue_size"][0] == "`4096`"
    assert found["versions.policy"][1].endswith("One of `latest`, `all`, `specific`.")
    assert found["inputs[].datatype"][0] == "required"
    assert all(meaning for _, meaning in found.values())


def test_the_page_shows_a_model_that_is_accepted() -> None:
    example = render()["model-yaml.md"].split("```yaml\n")[1].split("```")[0]
    spec = ModelSpec.model_validate(yaml.safe_load(example))
    assert [step.name for step in spec.postprocess] == ["softmax", "labels"]


@pytest.mark.parametrize("name", ["digits", "sentiment-zh", "tabular"])
def test_editors_accept_what_ships(name: str) -> None:
    given = yaml.safe_load((ROOT / "models" / name / "model.yaml").read_text("utf-8"))
    jsonschema.validate(given, schema())


@pytest.mark.parametrize(
    "more", [{"batch": 3}, {"batching": {"max_queue_size": 0}}, {"preprocess": [{"a": {}, "b": {}}]}]
)
def test_editors_refuse_what_the_services_refuse(more: dict[str, object]) -> None:
    given = {"name": "m", "task": "tensor", **more}
    with pytest.raises(ValueError, match="validation error"):
        ModelSpec.model_validate(given)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(given, schema())

"""Every key of Triton's configuration has its fate, and the documentation says the same."""

from __future__ import annotations

from pathlib import Path

from google.protobuf import text_format

from trireme_common.triton.keys import KEYS, Fate, not_honoured
from trireme_protos.inference.model_config_pb2 import ModelConfig

PAGE = Path(__file__).parents[4] / "docs" / "triton-repositories.md"
FATES = {key.name: key.fate for key in KEYS}


def test_every_key_of_the_configuration_and_of_what_is_honoured_is_listed() -> None:
    names = [""]
    seen = set()
    while names:
        parent = names.pop()
        descriptor = ModelConfig.DESCRIPTOR
        for part in filter(None, parent.split(".")):
            descriptor = descriptor.fields_by_name[part].message_type
        for field in descriptor.fields:
            name = f"{parent}.{field.name}".removeprefix(".")
            seen.add(name)
            if FATES[name] is Fate.HONOURED and field.message_type is not None:
                names.append(name)
    assert seen == set(FATES)
    assert len(FATES) == len(KEYS)


def test_the_page_holds_the_table() -> None:
    rows = [line for line in PAGE.read_text("utf-8").splitlines() if line.startswith("| `")]
    expected = [f"| `{key.name}` | {key.fate} | {key.meaning} |" for key in KEYS]
    assert rows == expected


def test_what_acts_nowhere_is_named_once_and_parameters_by_their_own_names() -> None:
    config = text_format.Parse(
        """
        instance_group [ { profile: "a" }, { profile: "b" name: "n" } ]
        optimization { graph { level: 1 } input_pinned_memory { enable: false } }
        dynamic_batching { preserve_ordering: false max_queue_delay_microseconds: 3 }
        parameters { key: "b" value {} } parameters { key: "a" value {} }
        metric_tags { key: "b" value: "c" }
        """,
        ModelConfig(),
    )
    assert sorted(not_honoured(config)) == [
        "instance_group.profile",
        "metric_tags",
        "optimization.graph",
        "optimization.input_pinned_memory",
        'parameters["a"]',
        'parameters["b"]',
    ]

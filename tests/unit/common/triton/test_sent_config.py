from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from trireme_common.errors import SpecError
from trireme_common.triton.document import to_json
from trireme_common.triton.pbtxt import read_config
from trireme_common.triton.sent_config import to_pbtxt

CONFIG: dict[str, Any] = {
    "backend": "onnxruntime",
    "max_batch_size": 4,
    "input": [{"name": "x", "data_type": "TYPE_FP32", "dims": [-1, 3]}],
    "dynamic_batching": {"preferred_batch_size": [2], "max_queue_delay_microseconds": 5_000_000},
    "parameters": {"k": {"string_value": "好\n"}},
}


def test_json_becomes_the_file_that_says_the_same(tmp_path: Path) -> None:
    path = tmp_path / "config.pbtxt"
    path.write_bytes(to_pbtxt("m", json.dumps(CONFIG)))
    message = read_config(path).message
    assert (message.name, message.max_batch_size, list(message.input[0].dims)) == ("m", 4, [-1, 3])
    assert message.parameters["k"].string_value == "好\n"
    assert to_pbtxt("m", json.dumps(to_json(message))) == path.read_bytes()


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ("{this is no JSON", "'config' is no model configuration"),
        ("[]", "'config' is no model configuration"),
        ('{"batch": 4}', "no field named"),
        ('{"max_batch_size": "many"}', "'config' is no model configuration"),
        ('{"name": "other"}', "'config' is of model 'other', not of 'm'"),
        (json.dumps({"default_model_filename": "x" * 300_000}), "takes more than"),
        ('{"parameters":' * 2000, "'config' is no model configuration"),
    ],
)
def test_anything_else_is_refused(config: str, said: str) -> None:
    with pytest.raises(SpecError) as refused:
        to_pbtxt("m", config)
    assert said in refused.value.detail

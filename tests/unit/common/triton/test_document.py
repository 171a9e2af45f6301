"""A served version as Triton's clients are told of it."""

from __future__ import annotations

import json
from pathlib import Path

from google.protobuf import json_format

from trireme_common.model_spec import ModelSpec
from trireme_common.stage_state import TensorInfo
from trireme_common.triton.document import model_config, to_json
from trireme_common.triton.translation import read_triton_model
from trireme_protos.inference.model_config_pb2 import ModelConfig

INPUTS = (TensorInfo("x", "FP32", (-1, 4)), TensorInfo("t", "BYTES", (-1, 1)))
OUTPUTS = (TensorInfo("y", "BF16", (-1,)),)


def test_a_model_of_model_yaml() -> None:
    spec = ModelSpec.model_validate(
        {
            "name": "m",
            "batching": {"max_batch_size": 8, "preferred_batch_sizes": [4], "max_queue_delay_ms": 1.5},
            "instances": {"count": 2, "device": "cuda:1"},
            "versions": {"policy": "specific", "list": [1, 3]},
        }
    )
    config = to_json(model_config(spec, INPUTS, OUTPUTS, batchable=True))
    assert (config["name"], config["backend"], config["platform"]) == ("m", "onnxruntime", "onnxruntime_onnx")
    assert config["max_batch_size"] == 8
    assert [(t["name"], t["data_type"], t["dims"]) for t in config["input"]] == [
        ("x", "TYPE_FP32", [4]),
        ("t", "TYPE_STRING", [1]),
    ]
    assert [(t["name"], t["data_type"], t["dims"]) for t in config["output"]] == [("y", "TYPE_BF16", [])]
    assert config["dynamic_batching"]["preferred_batch_size"] == [4]
    assert config["dynamic_batching"]["max_queue_delay_microseconds"] == 1500
    assert config["version_policy"] == {"specific": {"versions": [1, 3]}}
    assert config["instance_group"][0]["kind"] == "KIND_GPU"
    assert (config["instance_group"][0]["count"], config["instance_group"][0]["gpus"]) == (2, [1])
    assert config["parameters"] == {}
    assert config["default_model_filename"] == "model.onnx"


def test_the_json_is_protobufs_own_but_for_long_integers() -> None:
    config = model_config(ModelSpec(name="m"), INPUTS, OUTPUTS, batchable=True)
    config.parameters["k"].string_value = "v"
    config.dynamic_batching.priority_queue_policy[2].max_queue_size = 3
    found = to_json(config)
    assert json_format.ParseDict(json.loads(json.dumps(found)), ModelConfig()) == config
    assert found["input"][0]["dims"] == [4]
    assert found["dynamic_batching"]["priority_queue_policy"]["2"]["max_queue_size"] == 3


def test_a_model_that_does_not_batch() -> None:
    spec = ModelSpec(name="m")
    apart = model_config(spec, INPUTS, OUTPUTS, batchable=False)
    assert (apart.max_batch_size, list(apart.input[0].dims)) == (1, [4])
    fixed = model_config(spec, (TensorInfo("x", "FP32", (2, -1)),), OUTPUTS, batchable=False)
    assert (fixed.max_batch_size, list(fixed.input[0].dims)) == (0, [2, -1])
    assert fixed.WhichOneof("scheduling_choice") is None


def test_what_a_config_pbtxt_says_stays_and_is_completed(tmp_path: Path) -> None:
    path = tmp_path / "m" / "config.pbtxt"
    path.parent.mkdir()
    path.write_text(
        'max_batch_size: 4 output { name: "y" label_filename: "l.txt" } '
        'parameters { key: "k" value { string_value: "v" } } optimization { graph { level: 1 } } '
        "version_policy { all { } } instance_group { kind: KIND_CPU }"
    )
    triton = read_triton_model(path, ("model.onnx",))
    config = to_json(model_config(triton.spec, INPUTS, OUTPUTS, batchable=True, triton=triton))
    assert (config["name"], config["platform"]) == ("m", "onnxruntime_onnx")
    assert [tensor["name"] for tensor in config["input"]] == ["x", "t"]
    (output,) = config["output"]
    assert (output["label_filename"], output["data_type"], output["dims"]) == ("l.txt", "TYPE_BF16", [])
    assert config["parameters"] == {"k": {"string_value": "v"}}
    assert config["optimization"]["graph"] == {"level": 1}
    assert config["version_policy"] == {"all": {}}
    assert [group["kind"] for group in config["instance_group"]] == ["KIND_CPU"]
    assert config["response_cache"] == {"enable": False}

from __future__ import annotations

from pathlib import Path

import pytest

from trireme_common.errors import SpecError
from trireme_common.model_spec import ModelSpec, read_model_spec

GOOD = """\
name: sentiment
task: text-classification
inputs:
  - {name: ids, datatype: INT32, shape: [-1, 64]}
outputs:
  - {name: logits, datatype: FP32, shape: [-1, 2]}
preprocess:
  - normalize_text
  - tokenize: {file: tokenizer.json}
postprocess:
  - softmax
  - labels:
batching: {max_batch_size: 16, max_queue_delay_ms: 2, preferred_batch_sizes: [4, 8]}
versions: {policy: specific, list: [1, 3]}
limits: {max_items: 10, long_text: refuse}
cache: {enabled: false, scope: shared}
instances: {count: 2, device: "cuda:1", isolation: process}
digests: {1/model.onnx: %s}
""" % ("a" * 64)


def read(folder: Path, text: str) -> ModelSpec:
    path = folder / "model.yaml"
    path.write_text(text)
    return read_model_spec(path)


def refusal(folder: Path, text: str) -> str:
    with pytest.raises(SpecError) as refused:
        read(folder, text)
    return refused.value.detail


def test_every_key_of_the_contract_is_read(tmp_path: Path) -> None:
    spec = read(tmp_path, GOOD)
    assert spec.inputs[0].shape == (-1, 64)
    assert [(step.name, step.parameters) for step in spec.preprocess] == [
        ("normalize_text", {}),
        ("tokenize", {"file": "tokenizer.json"}),
    ]
    assert [step.name for step in spec.postprocess] == ["softmax", "labels"]
    assert spec.batching.preferred_batch_sizes == (4, 8)
    assert spec.batching.max_queue_delay_ms == 2
    assert spec.versions.list == (1, 3)
    assert (spec.limits.max_items, spec.limits.long_text) == (10, "refuse")
    assert (spec.cache.enabled, spec.cache.scope) == (False, "shared")
    assert (spec.instances.device, spec.instances.isolation) == ("cuda:1", "process")
    assert spec.memory.lazy is False
    assert spec.warmup is True


def test_a_name_alone_is_a_tensor_model() -> None:
    spec = ModelSpec(name="a")
    assert (spec.task, spec.backend, spec.batching.max_batch_size) == ("tensor", "onnxruntime", 32)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("name: a\nnmae: b\n", "line 2: nmae: unknown key; known: backend, batching"),
        ("name: a\nbatching:\n  max_batch: 3\n", "line 3: batching.max_batch: unknown key; known: latency_"),
        ("task: tensor\n", "line 1: name: Field required"),
        ("name: a\ntask: poetry\n", "line 2: task: "),
        ("name: a/b\n", "line 1: name: letters"),
        ("name: a.inference\n", "not ending in .inference"),
        ("name: ''\n", "line 1: name"),
        ("name: 1\n", "line 1: name: Input should be a valid string"),
        ("name: a\nwarmup: 'yes'\n", "line 2: warmup"),
        ("name: a\nbatching: {max_batch_size: -1}\n", "line 2: batching.max_batch_size"),
        ("name: a\nbatching: {max_batch_size: '8'}\n", "line 2: batching.max_batch_size"),
        ("name: a\nversions: {policy: specific}\n", "line 2: versions: 'list' is given"),
        ("name: a\nversions: {list: [1]}\n", "line 2: versions: 'list' is given"),
        ("name: a\ninstances: {device: gpu}\n", "line 2: instances.device"),
        (
            "name: a\ninputs:\n - {name: x, datatype: FP31, shape: [1]}\n",
            "line 3: inputs.0.datatype: unknown",
        ),
        (
            "name: a\ninputs:\n - {name: x, datatype: FP32, shape: [0]}\n",
            "line 3: inputs.0.shape: dimensions",
        ),
        (f"name: a\ninputs:\n - {{name: x, datatype: FP32, shape: [{2**63}]}}\n", "inputs.0.shape"),
        (f"name: a\nlimits: {{max_items: {2**32}}}\n", "line 2: limits.max_items"),
        (f"name: a\nlimits: {{timeout_ms: {2**32}}}\n", "line 2: limits.timeout_ms"),
        ("name: a\ndigests: {1/model.onnx: abc}\n", "a SHA-256 is 64"),
        ("name: a\npreprocess: [softmax]\n", "task 'tensor' takes no preprocess"),
        ("name: a\ntask: tabular\n", "needs 'inputs' and 'outputs'"),
        (
            "name: a\ntask: tabular\ninputs: [{name: x, datatype: FP32, shape: []}]\n"
            "outputs: [{name: y, datatype: FP32, shape: [-1, 1]}]\n",
            "begins with its batch dimension",
        ),
        ("name: a\ntask: tabular\npreprocess:\n  - {a: {}, b: {}}\n", "line 4: preprocess.0"),
        ("name: a\ntask: tabular\npreprocess:\n  - {a: 3}\n", "line 4: preprocess.0"),
        ("- a\n- b\n", "line 1: a map of keys is expected"),
        ("", "line 1: a map of keys is expected"),
        ('name: a\ninputs: [{name: "\\ud800", datatype: FP32, shape: [1]}]\n', "line 2"),
    ],
)
def test_anything_else_is_refused_with_line_and_key(tmp_path: Path, text: str, expected: str) -> None:
    detail = refusal(tmp_path, text)
    assert str(tmp_path / "model.yaml") in detail
    assert expected in detail


def test_further_problems_are_counted(tmp_path: Path) -> None:
    assert "(and 2 more)" in refusal(tmp_path, "name: a\nx: 1\ny: 2\nz: 3\n")

"""A config.pbtxt gives the spec that a model.yaml would give, and names what it cannot give."""

from __future__ import annotations

from pathlib import Path

import pytest

from trireme_common.errors import SpecError
from trireme_common.model_spec import ModelSpec
from trireme_common.triton.instances import GpuGroup
from trireme_common.triton.tensors import Declared
from trireme_common.triton.translation import TritonModel, read_triton_model

ONNX = ("model.onnx",)


def read(folder: Path, text: str, files: tuple[str, ...] = ONNX) -> TritonModel:
    path = folder / "m" / "config.pbtxt"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return read_triton_model(path, files)


def refusal(folder: Path, text: str, files: tuple[str, ...] = ONNX) -> str:
    with pytest.raises(SpecError) as refused:
        read(folder, text, files)
    return refused.value.detail


def test_the_spec_is_the_one_that_model_yaml_gives(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        """
        name: "m"
        platform: "onnxruntime_onnx"
        max_batch_size: 8
        input [ { name: "x" data_type: TYPE_FP32 dims: [ -1, 4 ] },
                { name: "t" data_type: TYPE_STRING dims: [ 1 ] } ]
        output { name: "y" data_type: TYPE_FP16 dims: 4 label_filename: "labels.txt" }
        version_policy: { specific: { versions: [ 1, 3 ] } }
        instance_group [ { count: 2 kind: KIND_GPU gpus: [ 1 ] }, { kind: KIND_GPU gpus: 1 } ]
        dynamic_batching {
          preferred_batch_size: [ 4, 8 ]
          max_queue_delay_microseconds: 1500
          priority_levels: 3
          default_queue_policy { max_queue_size: 12 allow_timeout_override: true }
        }
        response_cache { enable: true }
        default_model_filename: "net.onnx"
        """,
    )
    assert found.spec == ModelSpec.model_validate(
        {
            "name": "m",
            "inputs": [
                {"name": "x", "datatype": "FP32", "shape": [-1, -1, 4]},
                {"name": "t", "datatype": "BYTES", "shape": [-1, 1]},
            ],
            "outputs": [{"name": "y", "datatype": "FP16", "shape": [-1, 4]}],
            "batching": {
                "max_batch_size": 8,
                "preferred_batch_sizes": [4, 8],
                "max_queue_delay_ms": 1.5,
                "priority_levels": 3,
                "max_queue_size": 12,
            },
            "versions": {"policy": "specific", "list": [1, 3]},
            "instances": {"count": 3, "device": "cuda:1"},
        }
    )
    assert found.gpus == (GpuGroup(2, (1,)), GpuGroup(1, (1,)))
    assert found.model_file == "net.onnx"
    assert found.label_files == {"y": "labels.txt"}
    assert found.notes == ()


def test_without_a_batch_the_dims_are_the_shape(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        'backend: "pytorch" input { name: "x" data_type: TYPE_INT64 dims: [ -1, 2 ] }'
        'output { name: "y" data_type: TYPE_BOOL dims: [ 2 ] }',
    )
    assert (found.spec.backend, found.model_file) == ("torch", "model.pt")
    assert [tensor.shape for tensor in (*found.spec.inputs, *found.spec.outputs)] == [(-1, 2), (2,)]
    assert found.spec.batching.max_batch_size == 0
    assert found.spec.versions.policy == "latest"
    assert not found.spec.cache.enabled


@pytest.mark.parametrize(
    ("text", "size"),
    [("", 32), ("max_batch_size: 0", 0), ("max_batch_size: 5", 5), ('output { name: "y" }', 32)],
)
def test_what_is_left_out_is_the_model_files_to_say(tmp_path: Path, text: str, size: int) -> None:
    spec = read(tmp_path, text).spec
    assert (spec.inputs, spec.outputs, spec.batching.max_batch_size) == ((), (), size)


def test_what_a_tensor_says_is_kept_where_others_say_less(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        'max_batch_size: 2 input [ { name: "a" data_type: TYPE_FP32 dims: 3 }, { name: "b" dims: 4 } ]'
        'output [ { name: "y" data_type: TYPE_INT8 }, { name: "z" } ]',
    )
    assert found.inputs == (Declared("a", "FP32", (-1, 3)), Declared("b", "", (-1, 4)))
    assert found.outputs == (Declared("y", "INT8", None), Declared("z", "", None))
    assert (found.spec.inputs, found.spec.outputs) == ((), ())


def test_preferred_sizes_do_not_need_a_largest_one(tmp_path: Path) -> None:
    text = 'platform: "onnxruntime_onnx" dynamic_batching { preferred_batch_size: [ 2, 400 ] }'
    batching = read(tmp_path, text).spec.batching
    assert batching.preferred_batch_sizes == (2, 400)
    assert "max_batch_size" not in batching.model_fields_set


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("max_batch_size: 0 dynamic_batching { max_queue_delay_microseconds: 5 }", "max_queue_delay"),
        ("max_batch_size: 1 dynamic_batching { max_queue_delay_microseconds: 5 }", ""),
        ("dynamic_batching { max_queue_delay_microseconds: 5 }", ""),
        ("dynamic_batching { default_queue_policy { allow_timeout_override: false } }", ""),
        ("dynamic_batching { default_queue_policy { default_timeout_microseconds: 5 } }", ""),
        (
            "dynamic_batching { default_queue_policy { default_timeout_microseconds: 5 "
            "allow_timeout_override: true } }",
            "",
        ),
        (
            "dynamic_batching { default_queue_policy { default_timeout_microseconds: 5 "
            "allow_timeout_override: false } }",
            "default_queue_policy.allow_timeout_override false",
        ),
    ],
)
def test_values_that_have_no_effect_are_named(tmp_path: Path, text: str, named: str) -> None:
    notes = read(tmp_path, text).notes
    assert named in "".join(notes)
    assert bool(notes) == bool(named)


@pytest.mark.parametrize(
    ("text", "files", "backend"),
    [
        ("", ("model.onnx",), "onnxruntime"),
        ("", ("model.pt",), "torch"),
        ('default_model_filename: "a.pt"', ("model.onnx",), "torch"),
        ('backend: "onnxruntime" platform: "onnxruntime_onnx"', (), "onnxruntime"),
    ],
)
def test_the_backend_is_named_or_found(
    tmp_path: Path, text: str, files: tuple[str, ...], backend: str
) -> None:
    assert read(tmp_path, text, files).spec.backend == backend


def test_reshapes_keep_what_callers_see_in_the_spec(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        'max_batch_size: 2 input { name: "x" data_type: TYPE_FP32 dims: 1 reshape { } }'
        'output { name: "y" data_type: TYPE_FP32 dims: [ -1, 2 ] reshape { shape: [ 1, 2, -1 ] } }',
    )
    assert (found.spec.inputs[0].shape, found.input_shapes) == ((-1, 1), {"x": (-1,)})
    assert (found.spec.outputs[0].shape, found.output_shapes) == ((-1, -1, 2), {"y": (-1, 1, 2, -1)})


def test_what_goes_beyond_or_is_unknown_is_named(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        """
        dynamic_batching { priority_levels: 20 preserve_ordering: true }
        instance_group [ { kind: KIND_GPU gpus: [ 0, 1 ] }, { kind: KIND_CPU count: 2 },
                         { kind: KIND_MODEL } ]
        novelty: 1
        """,
    )
    honoured, unknown = found.notes
    for name in (
        "dynamic_batching.preserve_ordering",
        "dynamic_batching.priority_levels over 16",
        "instance_group[1] on another kind of device",
        "instance_group[2].kind KIND_MODEL",
    ):
        assert name in honoured
    assert unknown.endswith("novelty (line 5)")
    assert found.spec.batching.priority_levels == 16
    assert (found.spec.instances.count, found.spec.instances.device) == (2, "cuda")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", (0, None)),
        ("priority_levels: 4 default_priority_level: 3", (3, None)),
        ("priority_levels: 20 default_priority_level: 18", (16, None)),
        ("default_queue_policy { default_timeout_microseconds: 250000 }", (0, 0.25)),
        ("default_queue_policy { default_timeout_microseconds: 250000 timeout_action: DELAY }", (0, None)),
    ],
)
def test_what_is_said_of_waiting_stands_beside_the_spec(
    tmp_path: Path, text: str, expected: tuple[int, float | None]
) -> None:
    assert read(tmp_path, f"dynamic_batching {{ {text} }}").queue == expected


TENSOR = 'input { name: "x" data_type: TYPE_FP32 dims: %s }'


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('name: "a b"', "line 1: name: letters"),
        ('\nbackend: "tensorrt"', "line 2: backend: .*take the ONNX file it was built from"),
        ('platform: "tensorflow_savedmodel"', "tf2onnx"),
        ('backend: "python"', "steps into a model.yaml"),
        ('backend: "fil"', "'fil' is not served; export it to ONNX"),
        ('platform: "ensemble" ensemble_scheduling { }', "ensemble_scheduling: not served"),
        ('backend: "pytorch"\nplatform: "onnxruntime_onnx"', "line 1: backend: platform .* of another"),
        ("sequence_batching { }", "sequence_batching: not served"),
        ("batch_input { }", "batch_input: not served"),
        ("max_batch_size: -1", "line 1: max_batch_size: "),
        ("max_batch_size: 70000", "line 1: max_batch_size: "),
        (TENSOR % "0", "input.0.dims: dimensions"),
        (TENSOR % "1" + "\n" + TENSOR % "1", "line 2: input.1.name: name 'x' stands twice"),
        ("input { dims: 1 }", "input.0.name: name '' is missing"),
        ("instance_group {\n count: 100 }", "instance_group: "),
        ("instance_group {\n count: -1 }", "line 2: instance_group.0.count"),
        ('default_model_filename: "../model.onnx"', "not the name of a file"),
        ('output { name: "y" label_filename: "../../secret" }', "no file of the model's directory"),
        ('output { name: "y" label_filename: "/etc/passwd" }', "no file of the model's directory"),
        ("version_policy { specific { } }", "version_policy.specific: versions are missing"),
        ("dynamic_batching { max_queue_delay_microseconds: 60000001 }", "a minute"),
        (
            "dynamic_batching { priority_levels: 2\n default_priority_level: 3 }",
            "line 2: dynamic_batching.default_priority_level: level 3 is not one of priority_levels 2",
        ),
        (
            "max_batch_size: 4\ndynamic_batching { preferred_batch_size: [ 4, 5 ] }",
            "line 2: .*5 is not between",
        ),
        (
            'model_warmup {\n inputs { key: "x" value { dims: 1 } } }',
            "model_warmup.0.inputs: 'x': set zero_data",
        ),
        ("dynamic_batching { preferred_batch_size: 0 }", "0 is not positive"),
        (
            "max_batch_size: 8\nmodel_warmup { batch_size: 9 }",
            "line 2: .*batch_size: 9 is over max_batch_size 8",
        ),
        ("max_batch_size: 0\nmodel_warmup { batch_size: 2 }", "2 is over max_batch_size 0"),
        ('input { name: "x" dims: -2 }', "input.0.dims: dimensions"),
        ("model_warmup { count: 1001 }", "model_warmup.0.count: at most 1000"),
        ('model_warmup { inputs { key: "x" value { dims: -1 zero_data: true } } }', "are not sizes"),
        (
            'model_warmup { inputs { key: "x" value { dims: 1 input_data_file: "../a" } } }',
            "no file of the folder warmup",
        ),
        ('input { name: "x" reshape { shape: 1 } }', "needs data_type and dims"),
        (TENSOR.replace("}", "reshape { shape: [ 3 ] } }") % "[ 2, 2 ]", "not the same elements"),
        (TENSOR.replace("}", "reshape { shape: [ -1, -1 ] } }") % "[ -1, -1 ]", "one size of a reshape"),
    ],
)
def test_what_cannot_be_served_is_refused(tmp_path: Path, text: str, expected: str) -> None:
    with pytest.raises(SpecError, match=expected):
        read(tmp_path, text)


def test_torchscript_takes_its_tensors_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    one = 'input { name: "%s" data_type: TYPE_FP32 dims: 1 }'
    text = 'backend: "pytorch"' + one % "INPUT__1" + one % "INPUT__0"
    assert [tensor.name for tensor in read(tmp_path, text).spec.inputs] == ["INPUT__0", "INPUT__1"]
    text = 'backend: "pytorch"' + one % "b" + one % "a__0"
    assert [tensor.name for tensor in read(tmp_path, text).spec.inputs] == ["b", "a__0"]
    assert read(tmp_path, text, ("model.pt2",)).model_file == "model.pt2"


def test_no_backend_and_no_file(tmp_path: Path) -> None:
    assert 'set backend: "onnxruntime" or "pytorch"' in refusal(tmp_path, "", ())

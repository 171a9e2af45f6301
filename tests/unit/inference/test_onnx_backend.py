"""ONNX Runtime behind the port: runs, types, failures, devices, hostile files."""

import contextlib
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto

from tests.support import onnx_models
from trireme_common.cpus import available_cpus
from trireme_common.errors import SpecError
from trireme_inference.backend import OpenOptions, RunError
from trireme_inference.onnx_backend import OnnxBackend, open_onnx
from trireme_inference.onnx_scan import check_external_data
from trireme_inference.runtimes import with_cuda


def write(directory: Path, model: bytes) -> Path:
    (directory / "model.onnx").write_bytes(model)
    return directory


def test_a_model_runs_and_says_what_it_is(tmp_path: Path) -> None:
    backend = open_onnx(write(tmp_path, onnx_models.scale(3.0)), OpenOptions())
    (output,) = backend.run({"x": np.ones((2, 4), np.float32)}, ("y",))
    np.testing.assert_array_equal(output, np.full((2, 4), 3, np.float32))
    assert (backend.platform, backend.device) == ("onnxruntime_onnx", "cpu")
    backend.close()


def test_text_is_bytes_outside(tmp_path: Path) -> None:
    backend = open_onnx(write(tmp_path, onnx_models.text()), OpenOptions())
    texts = np.array(["中文".encode(), b""], dtype=object)
    (output,) = backend.run({"x": texts}, ("y",))
    assert output.tolist() == texts.tolist()
    with pytest.raises(RunError, match="UTF-8"):
        backend.run({"x": np.array([b"\xff"], dtype=object)}, ("y",))


@pytest.mark.parametrize("count", [3, 0])
def test_bfloat16_is_its_16_bits_outside(tmp_path: Path, count: int) -> None:
    kinds = {"half": TensorProto.BFLOAT16, "whole": TensorProto.INT8}
    backend = open_onnx(write(tmp_path, onnx_models.echo(kinds, ["N"])), OpenOptions())
    assert [info.datatype for info in backend.inputs] == ["BF16", "INT8"]
    bits = np.frombuffer(b"\x80\x3f\xc0\x7f\x80\xff", dtype="<u2")[:count]
    whole = np.arange(count, dtype=np.int8)
    outputs = backend.run({"half": bits, "whole": whole}, ("whole_out", "half_out"))
    for output, expected in zip(outputs, (whole, bits), strict=True):
        assert output.shape == (count,)
        assert output.tolist() == expected.tolist()


def test_bfloat16_beside_text_is_refused(tmp_path: Path) -> None:
    kinds = {"half": TensorProto.BFLOAT16, "text": TensorProto.STRING}
    with pytest.raises(SpecError, match="both bfloat16 and strings"):
        open_onnx(write(tmp_path, onnx_models.echo(kinds, ["N"])), OpenOptions())


def test_a_failed_run_names_the_node_and_not_the_input(tmp_path: Path) -> None:
    backend = open_onnx(write(tmp_path, onnx_models.lookup()), OpenOptions())
    with pytest.raises(RunError) as caught:
        backend.run({"ids": np.array([424242])}, ("y",))
    assert caught.value.detail == "the model failed on this input, in a node Gather"


def test_external_data_beside_the_model_is_read(tmp_path: Path) -> None:
    (tmp_path / "model.onnx.data").write_bytes(np.array([1, 2, 3, 4], np.float32).tobytes())
    backend = open_onnx(write(tmp_path, onnx_models.with_external_data("model.onnx.data")), OpenOptions())
    (output,) = backend.run({"x": np.ones((1, 4), np.float32)}, ("y",))
    assert output.tolist() == [[1, 2, 3, 4]]


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("../outside", "leads out"),
        ("sub/../../outside", "leads out"),
        ("/etc/hostname", "only files beside the model"),
        ("", "only files beside the model"),
        ("..\\outside", "only files beside the model"),
        ("missing", "is missing"),
        ("link", "symbolic link"),
        ("linked/outside", "symbolic link"),
        ("twin", "hard link"),
    ],
)
def test_external_data_elsewhere_is_refused_before_the_runtime_sees_it(
    tmp_path: Path, location: str, expected: str
) -> None:
    outside = tmp_path / "outside"
    outside.write_bytes(bytes(16))
    directory = tmp_path / "model"
    directory.mkdir()
    (directory / "link").symlink_to(outside)
    (directory / "linked").symlink_to(tmp_path)
    os.link(outside, directory / "twin")
    write(directory, onnx_models.with_external_data(location))
    with pytest.raises(SpecError, match=expected):
        open_onnx(directory, OpenOptions())
    assert outside.read_bytes() == bytes(16)


@pytest.mark.parametrize(("offset", "length"), [(0, 17), (8, 9), (0, 1 << 62), (1 << 70, 1)])
def test_external_data_beyond_its_file_is_refused(tmp_path: Path, offset: int, length: int) -> None:
    (tmp_path / "data").write_bytes(bytes(16))
    write(tmp_path, onnx_models.with_external_data("data", offset=offset, length=length))
    with pytest.raises(SpecError, match="beyond the end"):
        open_onnx(tmp_path, OpenOptions())


def test_the_scan_counts_the_weights_beside_the_model(tmp_path: Path) -> None:
    (tmp_path / "weights").write_bytes(bytes(16))
    model = onnx_models.with_external_data("weights")
    assert check_external_data(write(tmp_path, model) / "model.onnx") == len(model) + 16


def test_the_same_input_gives_the_same_bits(tmp_path: Path) -> None:
    rows = np.random.default_rng(3).normal(size=(7, 5)).astype(np.float32)
    answers = set()
    for number in range(3):
        directory = tmp_path / str(number)
        directory.mkdir()
        backend = open_onnx(write(directory, onnx_models.row_sum()), OpenOptions(threads=2))
        answers |= {backend.run({"x": rows}, ("y",))[0].tobytes() for _ in range(3)}
    assert len(answers) == 1


def test_a_model_that_is_a_link_out_of_its_version_is_refused(tmp_path: Path) -> None:
    (tmp_path / "version").mkdir()
    (tmp_path / "elsewhere.onnx").write_bytes(onnx_models.scale(1.0))
    (tmp_path / "version" / "model.onnx").symlink_to(tmp_path / "elsewhere.onnx")
    with pytest.raises(SpecError, match="link that leads out"):
        open_onnx(tmp_path / "version", OpenOptions())


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 1000), st.binary(min_size=1, max_size=12), st.booleans())
def test_damaged_files_are_read_to_their_end_or_refused(
    tmp_path: Path, position: int, noise: bytes, insert: bool
) -> None:
    model = onnx_models.with_external_data("../outside")
    position %= len(model)
    damaged = model[:position] + noise + model[position + (0 if insert else len(noise)) :]
    (tmp_path / "model.onnx").write_bytes(damaged)
    with contextlib.suppress(SpecError):
        check_external_data(tmp_path / "model.onnx")


ON_CUDA = OpenOptions(device="cuda:0")


@pytest.mark.parametrize(
    ("model", "feed", "expected"),
    [
        (onnx_models.scale(3.0), np.ones((2, 4), np.float32), np.full((2, 4), 3, np.float32)),
        (onnx_models.text(), np.array([b"a", b""], object), np.array([b"a", b""], object)),
        (onnx_models.to_text(), np.array([1, -2], np.int64), np.array([b"1", b"-2"], object)),
    ],
)
def test_what_a_gpu_is_given_beside_its_memory_is_the_same(
    model: bytes, feed: np.ndarray, expected: np.ndarray
) -> None:
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    backend = OnnxBackend(session, "cuda:0")  # only how tensors go in and out depends on the name
    (output,) = backend.run({"x": feed}, ("y",))
    assert output.dtype == expected.dtype
    assert output.tolist() == expected.tolist()


@pytest.mark.parametrize(
    ("options", "loaded"),
    [
        (OpenOptions(), set()),
        (ON_CUDA, {"cuda"}),
        (replace(ON_CUDA, tensorrt="fp16"), {"cuda", "tensorrt"}),
    ],
)
def test_the_libraries_of_a_gpu_are_loaded_before_a_session_asks_for_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: OpenOptions, loaded: set[str]
) -> None:
    (tmp_path / "tensorrt_libs.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "tensorrt_libs", raising=False)
    found: set[str] = set()
    asked: list[set[str]] = []

    def session(*_: Any, **__: Any) -> None:
        asked.append(found | ({"tensorrt"} if "tensorrt_libs" in sys.modules else set()))
        raise RuntimeError("no session here")

    names = ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: names)
    monkeypatch.setattr(onnxruntime, "preload_dlls", lambda **_: found.add("cuda"))
    monkeypatch.setattr(onnxruntime, "InferenceSession", session)
    with pytest.raises(SpecError, match="no session here"):
        open_onnx(write(tmp_path, onnx_models.scale(1.0)), options)
    monkeypatch.delitem(sys.modules, "tensorrt_libs", raising=False)
    assert asked == [loaded]


@pytest.mark.skipif("onnxruntime" in with_cuda(), reason="this onnxruntime has CUDA")
def test_cuda_is_refused_where_the_runtime_has_none(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="without CUDA"):
        open_onnx(write(tmp_path, onnx_models.scale(1.0)), ON_CUDA)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"cpu.max": "150000 100000"}, 2),
        ({"cpu.max": "50000 100000"}, 1),
        ({"cpu.max": "max 100000"}, 1 << 20),
        ({"cpu/cpu.cfs_quota_us": "100000", "cpu/cpu.cfs_period_us": "100000"}, 1),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, 1 << 20),
        ({}, 1 << 20),
    ],
)
def test_cpus_are_what_the_container_may_use(tmp_path: Path, files: dict[str, str], expected: int) -> None:
    (tmp_path / "cpu").mkdir()
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert available_cpus(tmp_path) == min(expected, len(os.sched_getaffinity(0)))

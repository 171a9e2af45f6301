"""Which versions are worth having, by what the model's spec says."""

from __future__ import annotations

from pathlib import Path

import pytest

from trireme_common.remote.catalog import RemoteModel
from trireme_common.remote.plan import Wanted
from trireme_common.remote.source import RemoteFile
from trireme_common.remote.versions import wanted_versions

TRITON = """
name: "a"
backend: "onnxruntime"
version_policy: { specific: { versions: [2] } }
input [ { name: "x", data_type: TYPE_FP32, dims: [ 2 ] } ]
output [ { name: "y", data_type: TYPE_FP32, dims: [ 2 ] } ]
"""


def model(*shared: str) -> RemoteModel:
    versions = {number: (RemoteFile(f"a/{number}/model.onnx", 1, "x"),) for number in (1, 2, 3, 10)}
    return RemoteModel("a", tuple(RemoteFile(f"a/{name}", 1, "x") for name in shared), versions)


@pytest.mark.parametrize(
    ("policy", "wanted"),
    [
        ("", Wanted((10,), (3,))),
        ("versions: {policy: latest, count: 2}", Wanted((10, 3), (2,))),
        ("versions: {policy: all}", Wanted((10, 3, 2, 1))),
        ("versions: {policy: specific, list: [1, 3, 7]}", Wanted((3, 1))),
        ("versions: nonsense", Wanted((10,), (3,))),
    ],
)
def test_the_policy_of_model_yaml_decides(policy: str, wanted: Wanted, tmp_path: Path) -> None:
    (tmp_path / "model.yaml").write_text(f"name: a\n{policy}\n")
    assert wanted_versions(model("model.yaml"), tmp_path.joinpath, 1) == wanted


def test_the_version_policy_of_a_triton_model_decides(tmp_path: Path) -> None:
    (tmp_path / "config.pbtxt").write_text(TRITON)
    assert wanted_versions(model("config.pbtxt"), tmp_path.joinpath, 1) == Wanted((2,))


@pytest.mark.parametrize(
    ("policy", "ordered", "wanted"),
    [
        ("", 1, Wanted((1, 10), (3,))),
        ("", 3, Wanted((3, 10))),
        ("", 10, Wanted((10,), (3,))),
        ("versions: {policy: all}", 2, Wanted((2, 10, 3, 1))),
        ("versions: {policy: specific, list: [1, 3]}", 2, Wanted((2, 3, 1))),
        ("", 7, Wanted((10,), (3,))),  # which the source has not
    ],
)
def test_a_version_that_was_put_back_is_wanted_first(
    policy: str, ordered: int, wanted: Wanted, tmp_path: Path
) -> None:
    (tmp_path / "model.yaml").write_text(f"name: a\n{policy}\n")
    assert wanted_versions(model("model.yaml"), tmp_path.joinpath, 1, ordered) == wanted


def test_a_bare_model_has_its_newest_version_and_spares(tmp_path: Path) -> None:
    assert wanted_versions(model(), tmp_path.joinpath, 2) == Wanted((10,), (3, 2))

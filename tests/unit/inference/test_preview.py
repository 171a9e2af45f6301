"""A preview says of a version what its load says, where model.yaml declares it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from tests.support.onnx_models import scale, write_version
from tests.support.workers import shared_isolation
from trireme_common.errors import SpecError
from trireme_common.repository import VersionFiles, scan
from trireme_inference.bootstrap import BACKENDS
from trireme_inference.loader import Loader, Machine
from trireme_inference.metrics import InferenceMetrics
from trireme_inference.preview import preview

SPEC = """\
task: tabular
inputs: [{name: x, datatype: FP32, shape: [-1, 4]}]
outputs: [{name: y, datatype: FP32, shape: [-1, 4]}]
instances: {isolation: thread}
"""


def files_of(models: Path) -> VersionFiles:
    (files,) = scan(models).versions
    return files


async def test_a_preview_says_what_the_load_says(tmp_path: Path) -> None:
    write_version(tmp_path, "m", 1, scale(2), spec=SPEC)
    files = files_of(tmp_path)
    found = preview(files)
    telemetry, loop = InferenceMetrics(CollectorRegistry()), asyncio.get_running_loop()
    loader = Loader(BACKENDS, Machine(), telemetry, loop, shared_isolation())
    servable = await asyncio.to_thread(loader.load, files)
    try:
        assert found == servable.descriptor
    finally:
        await servable.close()


def test_what_the_spec_leaves_to_the_model_file_is_not_described(tmp_path: Path) -> None:
    write_version(tmp_path, "m", 1, scale(2), spec="task: tensor\n")
    assert preview(files_of(tmp_path)) is None


def test_a_digest_that_differs_is_refused_before_anything_is_loaded(tmp_path: Path) -> None:
    write_version(tmp_path, "m", 1, scale(2), spec=f"{SPEC}digests: {{1/model.onnx: '{'0' * 64}'}}\n")
    with pytest.raises(SpecError, match="pins"):
        preview(files_of(tmp_path))


@pytest.mark.parametrize(
    ("name", "platform"), [("model.pt", "pytorch_libtorch"), ("model.pt2", "pytorch_export")]
)
def test_the_platform_of_a_torch_model_is_told_by_its_file(tmp_path: Path, name: str, platform: str) -> None:
    write_version(tmp_path, "m", 1, scale(2), spec=SPEC)
    (tmp_path / "m" / "1" / "model.onnx").rename(tmp_path / "m" / "1" / name)
    files = files_of(tmp_path)
    found = preview(replace(files, spec=files.spec.model_copy(update={"backend": "torch"})))
    assert found is not None
    assert found.platform == platform

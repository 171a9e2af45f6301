"""Where a model runs: what its spec says, else the setting, else what is best for its backend."""

import json
from pathlib import Path
from typing import cast

import pytest

from tests.support import crashing, onnx_models
from tests.support.onnx_models import write_version
from tests.support.workers import CountsByVersion, shared_isolation
from trireme_common.errors import SpecError
from trireme_common.repository import VersionFiles, scan
from trireme_inference.backend import OpenOptions
from trireme_inference.content import Content
from trireme_inference.isolation import Isolation, Kind
from trireme_inference.workers.worker_set import WorkerSet


def files_of(models: Path, spec: str) -> VersionFiles:
    write_version(models, "m", 1, onnx_models.scale(1.0), spec=f"{spec}\n")
    (files,) = scan(models).versions
    return files


@pytest.mark.parametrize(
    ("spec", "device", "preferred", "expected"),
    [
        ("backend: onnxruntime", "cpu", None, "thread"),
        ("backend: onnxruntime", "cuda:0", None, "process"),
        ("backend: torch", "cpu", None, "process"),
        ("backend: torch", "cpu", "thread", "thread"),
        ("backend: onnxruntime", "cpu", "process", "process"),
        ("instances: {isolation: process}", "cpu", "thread", "process"),
        ("instances: {isolation: thread}", "cuda:0", "process", "thread"),
    ],
)
def test_the_spec_goes_before_the_setting_and_the_setting_before_the_rule(
    tmp_path: Path, spec: str, device: str, preferred: Kind | None, expected: Kind
) -> None:
    isolation = Isolation(CountsByVersion(), preferred=preferred)
    assert isolation.kind(files_of(tmp_path, spec), OpenOptions(device=device)) == expected


class Processes:
    """The workers of a version."""

    def __init__(self, size: int) -> None:
        self._size = size

    def anonymous_bytes(self) -> int:
        return self._size


def test_the_memory_of_a_version_is_that_of_its_newest_load() -> None:
    isolation = Isolation(CountsByVersion())
    assert isolation.bytes_of("m", "1") == 0
    forget_old = isolation.watch("m", "1", cast(WorkerSet, Processes(100)))
    forget_new = isolation.watch("m", "1", cast(WorkerSet, Processes(300)))
    assert isolation.bytes_of("m", "1") == 300
    forget_old()
    assert isolation.bytes_of("m", "1") == 300
    forget_new()
    assert isolation.bytes_of("m", "1") == 0
    isolation.watch("thread", "1", None)()
    assert isolation.bytes_of("thread", "1") == 0


def test_what_runs_nothing_has_no_processes() -> None:
    isolation = Isolation(CountsByVersion())
    assert isolation.nurseries() == []
    isolation.close()


@pytest.mark.parametrize(("most", "refused"), [("32", True), ("1", False), ("0", False)])
def test_a_model_for_threads_is_tried_in_a_process_with_as_many_rows_as_at_its_load(
    tmp_path: Path, most: str, refused: bool
) -> None:
    files = files_of(tmp_path, f"instances: {{isolation: thread}}\nbatching: {{max_batch_size: {most}}}")
    isolation, content = shared_isolation(), Content.of(files)
    if refused:
        with pytest.raises(SpecError, match="SIGSEGV"):
            isolation.open(files, crashing.open_recluse, OpenOptions(), content)
    else:
        isolation.open(files, crashing.open_recluse, OpenOptions(), content).close()


def test_a_golden_request_of_another_rank_is_left_to_the_load_to_refuse(tmp_path: Path) -> None:
    files = files_of(tmp_path, "instances: {isolation: thread}")
    scalar = {"name": "x", "datatype": "FP32", "shape": [], "data": [1.0]}
    golden = {"request": {"inputs": [scalar]}, "response": {"outputs": [scalar | {"name": "y"}]}}
    (files.directory / "golden.json").write_text(json.dumps(golden))
    shared_isolation().open(files, crashing.open_doubler, OpenOptions(), Content.of(files)).close()

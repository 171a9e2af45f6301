"""Two hundred loads and unloads leave nothing behind, wherever the model ran."""

import asyncio
import gc
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.support import onnx_models
from tests.support.crashing import open_doubler
from tests.support.inference_fakes import Inbox, Pending, make_request
from tests.support.onnx_models import golden_of, write_version
from tests.support.processes import descendants, eventually
from tests.support.workers import CountsByVersion
from trireme_common.errors import SpecError
from trireme_common.process_memory import resident_bytes
from trireme_common.repository import VersionFiles, scan
from trireme_inference.bootstrap import BACKENDS
from trireme_inference.isolation import Isolation
from trireme_inference.loader import Loader, Machine

ROW = np.array([[1, 2, 3, 4]], np.float32)
WARM_LOADS = 20
LOADS = 200
ALLOWED_BYTES = 3 * 1024 * 1024
"""15 KiB a load: less than the smallest thing that a load could leave behind, a thread or a session."""


@pytest.fixture
def isolation() -> Iterator[Isolation]:
    isolation = Isolation(CountsByVersion())
    yield isolation
    isolation.close()


def version(models: Path, isolation: str) -> VersionFiles:
    golden = golden_of({"x": ROW}, {"y": ROW * 2})
    spec = f"instances: {{isolation: {isolation}, count: 1}}\n"
    write_version(models, "m", 1, onnx_models.scale(2.0), spec=spec, golden=golden)
    (files,) = scan(models).versions
    return files


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def threads_of_models() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("m-1-")]


async def load_run_unload(loader: Loader, files: VersionFiles) -> None:
    servable = await asyncio.to_thread(loader.load, files)
    inbox = Inbox()
    request = make_request(inbox, ROW.tolist(), signature=servable.signature)
    servable.batcher.submit([request])
    await servable.close()
    np.testing.assert_array_equal(inbox.values(request), ROW * 2)


@pytest.mark.parametrize("where", ["process", "thread"])
async def test_two_hundred_loads_leave_nothing_behind(
    tmp_path: Path, isolation: Isolation, where: str
) -> None:
    files = version(tmp_path, where)
    loader = Loader(BACKENDS, Machine(), Pending(), asyncio.get_running_loop(), isolation)
    for _ in range(WARM_LOADS):
        await load_run_unload(loader, files)
    gc.collect()
    before = resident_bytes(), descriptors(), descendants()
    for _ in range(LOADS):
        await load_run_unload(loader, files)
    gc.collect()
    # A worker's channel and memory are closed by the thread that had them, a moment after the last answer:
    # those of the last warm load may have been there before.
    await asyncio.to_thread(eventually, lambda: descriptors() <= before[1] and descendants() <= before[2])
    assert resident_bytes() - before[0] < ALLOWED_BYTES
    await asyncio.to_thread(eventually, lambda: not threads_of_models())


async def test_a_file_that_kills_whoever_opens_it_makes_its_version_unavailable(
    tmp_path: Path, isolation: Isolation
) -> None:
    directory = write_version(tmp_path, "m", 1, b"x", spec="instances: {isolation: thread}\n")
    (files,) = scan(tmp_path).versions
    loop = asyncio.get_running_loop()
    loader = Loader({"onnxruntime": open_doubler}, Machine(), Pending(), loop, isolation)
    (directory / "die").touch()
    with pytest.raises(SpecError, match="killed by SIGSEGV"):
        await asyncio.to_thread(loader.load, files)
    (directory / "die").unlink()
    await (await asyncio.to_thread(loader.load, files)).close()
    assert descendants() >= set(isolation.nurseries())


async def test_a_content_that_survived_is_not_tried_again(tmp_path: Path, isolation: Isolation) -> None:
    write_version(tmp_path, "m", 1, b"x", spec="instances: {isolation: thread}\nwarmup: false\n")
    (files,) = scan(tmp_path).versions
    loop = asyncio.get_running_loop()
    loader = Loader({"onnxruntime": open_doubler}, Machine(), Pending(), loop, isolation)
    await (await asyncio.to_thread(loader.load, files)).close()
    # A worker would die of this; the service's own process does not open it twice either.
    isolation.close()
    await (await asyncio.to_thread(loader.load, files)).close()

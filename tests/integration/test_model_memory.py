"""What models in worker processes take, and who leaves: of this machine's memory, and of a GPU's."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from tests.support import fake_gpu, onnx_models
from tests.support.inference_fakes import Inbox, Pending, make_request
from tests.support.model_stores import until
from tests.support.onnx_models import write_version
from tests.support.workers import CountsByVersion
from trireme_common.errors import Code, TriremeError
from trireme_common.memory import MemoryBudget
from trireme_common.model_store import ModelStore
from trireme_common.shelf import NoObserver
from trireme_common.stage_state import State
from trireme_inference.backend import Opener
from trireme_inference.bootstrap import BACKENDS
from trireme_inference.isolation import Isolation
from trireme_inference.loader import Loader, Machine
from trireme_inference.preview import preview
from trireme_inference.servable import InferenceServable

ROW = np.array([[1, 2, 3, 4]], np.float32)
TENSORS = """\
inputs: [{name: x, datatype: FP32, shape: [-1, 4]}]
outputs: [{name: y, datatype: FP32, shape: [-1, 4]}]
"""
LAZY = TENSORS + "instances: {isolation: process, count: 1}\nmemory: {lazy: true}\n"
PINNED = TENSORS + "instances: {isolation: process, count: 1}\nmemory: {pinned: true}\n"
NAMES = "abcde"


class Held(NoObserver):
    """Keeps what it hears."""

    def __init__(self) -> None:
        self.sizes: Mapping[str, int] = {"cpu": 0}

    def holds(self, sizes: Mapping[str, int], limit: int | None) -> None:
        self.sizes = dict(sizes)


class Serving:
    """A store of models in worker processes that double what they are given."""

    def __init__(
        self, models: Path, limit: int | None, openers: Mapping[str, Opener] = BACKENDS, **machine: object
    ) -> None:
        self.isolation = Isolation(CountsByVersion())
        self.heard = Held()
        loop = asyncio.get_running_loop()
        lent = Machine(**machine)  # type: ignore[arg-type]
        loader = Loader(openers, lent, Pending(), loop, self.isolation)
        self.store: ModelStore[InferenceServable] = ModelStore(
            models,
            loader.load,
            preview=preview,
            needs=loader.needs,
            budget=MemoryBudget(limit, loop.time),
            observer=self.heard,
            linger_seconds=0,
        )

    async def ask(self, name: str) -> None:
        """One request, which is answered rightly. Raises TriremeError."""
        async with asyncio.timeout(60):
            servable = await self.store.acquire(name, "1")
            inbox = Inbox()
            request = make_request(inbox, ROW.tolist(), signature=servable.signature)
            servable.batcher.submit([request])
            await until(lambda: bool(inbox.answers))
        np.testing.assert_array_equal(inbox.values(request), ROW * 2)

    def status(self, name: str) -> tuple[State, str]:
        (found,) = [model for model in self.store.state.models if model.name == name]
        return found.state, found.reason

    async def close(self) -> None:
        await self.store.close()
        self.isolation.close()


@pytest.fixture
def models(tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    folder.mkdir()
    return folder


async def test_models_that_are_loaded_together_keep_to_the_budget(models: Path) -> None:
    for name in NAMES:
        write_version(models, name, 1, onnx_models.scale(2.0), spec=LAZY)
    serving = Serving(models, None)
    await serving.store.refresh()
    await serving.ask("a")
    one = serving.heard.sizes["cpu"]
    assert serving.isolation.bytes_of("a", "1") >= one > 1 << 20  # without what it shares with its nursery
    await serving.close()
    limit = int(one * 2.7)
    serving = Serving(models, limit)
    await serving.store.refresh()
    await asyncio.gather(*map(serving.ask, NAMES))  # nothing is known yet of what they take
    await until(lambda: serving.heard.sizes["cpu"] <= limit)
    await asyncio.gather(*map(serving.ask, NAMES * 3))
    await until(lambda: serving.heard.sizes["cpu"] <= limit)
    await until(lambda: len(running(serving)) == 2)
    await serving.close()


def running(serving: Serving) -> list[str]:
    return [name for name in NAMES if serving.isolation.bytes_of(name, "1")]


@pytest.fixture
def gpu(tmp_path: Path) -> Path:
    """One that holds two models and not three."""
    folder = tmp_path / "gpu"
    folder.mkdir()
    (folder / "total").write_text(str(600 * fake_gpu.MIB))
    return folder


def on_gpu(models: Path, gpu: Path) -> Serving:
    return Serving(
        models,
        1 << 40,
        {"onnxruntime": fake_gpu.open_on_gpu},
        gpus=1,
        device="auto",
        cuda_backends=frozenset({"onnxruntime"}),
        free_bytes=lambda device: fake_gpu.free_bytes(gpu),
    )


async def test_models_take_turns_on_a_gpu_that_is_too_small_for_all(models: Path, gpu: Path) -> None:
    for name in "abcd":
        write_version(models, name, 1, b"", spec=LAZY)
    serving = on_gpu(models, gpu)
    await serving.store.refresh()
    await asyncio.gather(*map(serving.ask, "abcd" * 3))
    assert fake_gpu.free_bytes(gpu) == 600 * fake_gpu.MIB - 2 * fake_gpu.TAKES
    assert serving.heard.sizes["cuda:0"] == 2 * fake_gpu.TAKES
    assert {name: serving.status(name) for name in "abcd"} == dict.fromkeys("abcd", (State.READY, ""))
    await serving.close()
    assert fake_gpu.free_bytes(gpu) == 600 * fake_gpu.MIB


async def test_a_full_gpu_refuses_until_another_model_left(models: Path, gpu: Path) -> None:
    for name in "ab":
        write_version(models, name, 1, b"", spec=PINNED)
    write_version(models, "eager", 1, b"", spec=TENSORS + "instances: {count: 1}\n")
    write_version(models, "lazy", 1, b"", spec=LAZY)
    serving = on_gpu(models, gpu)
    await serving.store.refresh()
    reason = (
        "does not fit on cuda:0: the weights take 0 MiB and with room to run about 256 MiB, which is 168 MiB "
        "more than its free memory of 88 MiB"
    )
    assert serving.status("eager") == (State.UNAVAILABLE, reason)
    with pytest.raises(TriremeError) as refused:
        await serving.ask("lazy")
    assert (refused.value.code, reason in refused.value.detail) == (Code.MODEL_NOT_READY, True)
    assert serving.status("lazy") == (State.READY, reason)
    for name in "ab":
        (models / name / "model.yaml").unlink()
        (models / name / "1" / "model.onnx").unlink()
    await serving.store.refresh()  # they are displaced, and left
    await serving.store.refresh()
    await serving.ask("lazy")
    await serving.ask("eager")
    await serving.close()

"""A model store over a repository on disk, with servables that hold nothing but a text."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from tests.support.repositories import change
from trireme_common.errors import SpecError
from trireme_common.model_store import ModelStore
from trireme_common.orders import Order
from trireme_common.repository import VersionFiles
from trireme_common.stage_state import ModelDescriptor, State
from trireme_common.stage_stream import cancel_and_wait

LINGER = 10.0


class FakeServable:
    def __init__(self, files: VersionFiles) -> None:
        self.weights = (files.directory / "model.onnx").read_text()
        self.descriptor = ModelDescriptor(task=files.spec.task, digest=self.weights)
        self.notes = "slower than it could be" if self.weights == "noted" else ""
        self.held: Mapping[str, int] = {}
        self.closed = 0

    async def close(self) -> None:
        self.closed += 1
        if self.weights == "sticky":
            raise RuntimeError("cannot be freed")


class World:
    """A repository on disk, a store over it and a clock that a test moves."""

    def __init__(self, root: Path, **options: object) -> None:
        self.root = root
        self.options = options
        self.now = 0.0
        self.loaded: list[tuple[str, int]] = []
        self.gate: threading.Event | None = None
        """Loads wait for it, where there is one."""
        self.trouble: Exception | None = None
        """What becomes of loads, where it is not up to the files."""
        self.open()

    def open(self) -> None:
        """A store that has read nothing yet, as after a restart."""
        self.store: ModelStore[FakeServable] = ModelStore(
            self.root,
            self.load,
            linger_seconds=LINGER,
            clock=lambda: self.now,
            **self.options,  # type: ignore[arg-type]
        )

    def load(self, files: VersionFiles) -> FakeServable:
        self.loaded.append((files.spec.name, files.version))
        if self.gate is not None:
            assert self.gate.wait(10)
        if self.trouble is not None:
            raise self.trouble
        servable = FakeServable(files)
        if files.golden is not None and files.golden.read_text() != servable.weights:
            raise SpecError("not the golden answer")
        if servable.weights == "bad":
            raise SpecError("the file is bad")
        if servable.weights == "odd":
            raise ZeroDivisionError("odd")
        return servable

    def weights(self, name: str, version: int, text: str) -> None:
        folder = self.root / name / str(version)
        folder.mkdir(parents=True, exist_ok=True)
        change(folder / "model.onnx", text)

    def states(self) -> dict[tuple[str, str], tuple[State, str]]:
        return {(model.name, model.version): (model.state, model.reason) for model in self.store.state.models}

    def orders(self) -> dict[str, Order]:
        """Those that were carried out."""
        return {order.model: order for order in self.store.state.orders}

    def ready(self) -> set[tuple[str, str]]:
        return {key for key, (state, _) in self.states().items() if state is State.READY}


@asynccontextmanager
async def watched(world: World) -> AsyncIterator[None]:
    """The store's watch runs; it has had its first look, and the next is far away."""
    watch = asyncio.create_task(world.store.watch(3600))
    try:
        await world.store.loaded_once.wait()
        yield
    finally:
        await cancel_and_wait(watch)


async def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.002)

"""What both clients of the kserve SDK have in common."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from tests.conformance.casebook import NotAskedError
from tests.conformance.target import ModelNames, Target

UNKNOWN = "conformance_nobody"
TEXTS = ("这家酒店非常好，服务热情", "质量太差了，非常失望")
LABELS = ("正面", "负面")


@dataclass
class KServeClient:
    """`make` opens another client of the same class with other options."""

    target: Target
    raw: Any
    make: Any

    @property
    def models(self) -> ModelNames:
        return self.target.models

    @property
    def url(self) -> str:
        return f"http://{self.target.http}"

    def idle(self, address: str) -> str:
        """The address of a server that runs and is not ready. Raises NotAskedError where there is none."""
        if not address:
            raise NotAskedError("no server that is not ready is there to be asked")
        return address

    @contextlib.asynccontextmanager
    async def another(self, **options: Any) -> AsyncIterator[Any]:
        """A client with other options, closed at the end."""
        made = self.make(**options)
        try:
            yield made
        finally:
            await made.close()


def sums_request(model: str, rows: int = 2, *, binary: bool | None = True, **options: Any) -> Any:
    """A request to the model of sums: as bytes, as JSON (False), or as plain lists (None)."""
    from kserve import InferInput, InferRequest

    inputs = []
    for name, array in zip(("INPUT0", "INPUT1"), pair(rows), strict=True):
        if binary is None:
            inputs.append(InferInput(name, list(array.shape), "FP32", data=array.reshape(-1).tolist()))
            continue
        made = InferInput(name, list(array.shape), "FP32")
        made.set_data_from_numpy(array, binary_data=binary)
        inputs.append(made)
    return InferRequest(model, inputs, **options)


def pair(rows: int) -> tuple[Any, Any]:
    """Two FP32 arrays [rows, 4]."""
    return np.arange(rows * 4, dtype=np.float32).reshape(rows, 4), np.ones((rows, 4), np.float32)


def check_sums(response: Any, rows: int = 2) -> None:
    """Whether both outputs are right."""
    left, right = pair(rows)
    outputs = {output.name: output.as_numpy() for output in response.outputs}
    np.testing.assert_array_equal(outputs["SUM"], left + right)
    np.testing.assert_array_equal(outputs["DIFFERENCE"], left - right)

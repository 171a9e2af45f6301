"""Requests with the numbers that must come back, as the tensor load generator reads them."""

from __future__ import annotations

from base64 import b64decode, b64encode
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
import orjson

from benchmarks.load.closed_loop import WrongAnswerError

Door = Literal["http", "stream", "infer"]
"""HTTP/1.1, the platform's own stream of envelopes, or the Open Inference Protocol's ModelInfer."""
AnswerForm = Literal["tail", "floats", "base64"]
"""How an item's FP32 values stand in an answer: the last bytes of the body, a JSON list, base64 in JSON."""


@dataclass(frozen=True)
class Questions:
    """Distinct requests to one server. Over the gRPC doors a request is an item's payload or a message."""

    door: Door
    model: str
    requests: tuple[bytes, ...]
    expected: tuple[tuple[float, ...], ...]
    form: AnswerForm = "tail"
    path: tuple[str | int, ...] = ()
    """Keys that lead from a JSON answer to the values."""
    tolerance: float = 1e-3
    """Relative to the largest value of the answer: another batch or another thread rounds otherwise."""

    def write(self, file: Path) -> None:
        file.write_bytes(
            orjson.dumps(
                {
                    "door": self.door,
                    "model": self.model,
                    "requests": [b64encode(request).decode() for request in self.requests],
                    "expected": self.expected,
                    "form": self.form,
                    "path": self.path,
                    "tolerance": self.tolerance,
                }
            )
        )

    @classmethod
    def read(cls, file: Path) -> Self:
        content = orjson.loads(file.read_bytes())
        return cls(
            door=content["door"],
            model=content["model"],
            requests=tuple(map(b64decode, content["requests"])),
            expected=tuple(map(tuple, content["expected"])),
            form=content["form"],
            path=tuple(content["path"]),
            tolerance=content["tolerance"],
        )


class Checker:
    """Compares answers with what they must be."""

    def __init__(self, questions: Questions) -> None:
        self._expected = [np.array(values, np.float32) for values in questions.expected]
        self._allowed = [questions.tolerance * float(np.abs(values).max()) for values in self._expected]
        self._form, self._path = questions.form, questions.path

    def check(self, number: int, body: bytes) -> None:
        """Raises WrongAnswerError where `body` does not answer request `number`."""
        expected = self._expected[number]
        try:
            values = self._values(body, len(expected))
        except (ValueError, LookupError, TypeError) as error:
            raise WrongAnswerError(f"{error!r} in {body[:300]!r}") from error
        # Written so that NaN, of which no comparison is true, is wrong too.
        if not (
            values.shape == expected.shape and float(np.abs(values - expected).max()) <= self._allowed[number]
        ):
            raise WrongAnswerError(
                f"{values[:4]} of {values.shape}, but ONNX Runtime alone says {expected[:4]}"
            )

    def _values(self, body: bytes, count: int) -> npt.NDArray[np.float32]:
        if self._form == "tail":
            return np.frombuffer(body[-4 * count :], "<f4")
        value: Any = orjson.loads(body)
        for key in self._path:
            value = value[key]
        return (
            np.frombuffer(b64decode(value), "<f4") if self._form == "base64" else np.array(value, np.float32)
        )

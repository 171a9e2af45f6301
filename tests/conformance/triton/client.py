"""Triton's four clients, spoken to in one way: every call is awaited, every answer is plain values."""

from __future__ import annotations

import contextlib
import importlib
import inspect
from collections.abc import AsyncIterator
from typing import Any

import numpy as np

from tests.conformance.casebook import NotAskedError
from tests.conformance.clients import ClientEntry
from tests.conformance.ports import closed_port
from tests.conformance.target import ModelNames, Target

_UNREADABLE = "an exception occurred in the client"
# What the clients give as the status of a request that its caller got wrong.
_MISTAKES = {
    "http": {"400", "404", "405", "409", "413", "415", "501"},
    "grpc": {
        f"StatusCode.{name}"
        for name in (
            "INVALID_ARGUMENT",
            "NOT_FOUND",
            "ALREADY_EXISTS",
            "FAILED_PRECONDITION",
            "OUT_OF_RANGE",
            "RESOURCE_EXHAUSTED",
            "UNIMPLEMENTED",
        )
    },
}
_NOT_NOW = {"http": {"400", "503"}, "grpc": {"StatusCode.UNAVAILABLE", "StatusCode.FAILED_PRECONDITION"}}
_TOO_LATE = {"http": {"503", "504"}, "grpc": {"StatusCode.DEADLINE_EXCEEDED", "StatusCode.UNAVAILABLE"}}

_FAILED = {"http": {"400", "500"}, "grpc": {"StatusCode.INTERNAL", "StatusCode.INVALID_ARGUMENT"}}


class TritonClient:
    """`raw` is the client itself, `module` the package that has its tensors."""

    def __init__(self, entry: ClientEntry, raw: Any, target: Target) -> None:
        self.entry = entry
        self.raw = raw
        self.target = target
        self.transport = "grpc" if "grpc" in entry.module else "http"
        self.module = importlib.import_module(f"tritonclient.{self.transport}")
        self.error: type[Exception] = importlib.import_module("tritonclient.utils").InferenceServerException

    @property
    def models(self) -> ModelNames:
        return self.target.models

    async def __call__(self, call: str, *args: Any, **options: Any) -> Any:
        """The answer of a call, whichever kind of function it is."""
        answer = getattr(self.raw, call)(*args, **options)
        return await answer if inspect.isawaitable(answer) else answer

    async def plain(self, call: str, *args: Any, **options: Any) -> Any:
        """The answer as JSON has it, from gRPC too."""
        if self.transport == "grpc":
            options["as_json"] = True
        return await self(call, *args, **options)

    async def refused(self, call: str, *args: Any, naming: str = "", **options: Any) -> Any:
        """The error of a call that its caller got wrong; its message holds `naming`."""
        return await self._refused(_MISTAKES, naming, call, *args, **options)

    async def not_now(self, call: str, *args: Any, naming: str = "", **options: Any) -> Any:
        """The error of a call for what cannot be had at present."""
        return await self._refused(_NOT_NOW, naming, call, *args, **options)

    async def too_late(self, call: str, *args: Any, **options: Any) -> Any:
        """The error of a call whose time was up."""
        return await self._refused(_TOO_LATE, "", call, *args, **options)

    async def failed(self, call: str, *args: Any, **options: Any) -> Any:
        """The error of a call whose model failed on its input."""
        return await self._refused(_FAILED, "", call, *args, **options)

    def check_error(self, error: Any, naming: str = "", statuses: dict[str, set[str]] = _MISTAKES) -> None:
        """Whether the client understood what the server refused."""
        message = error.message()
        assert message, f"an error without a message, status {error.status()}"
        assert not message.startswith(_UNREADABLE), message
        assert naming in message, f"'{naming}' does not occur in: {message}"
        assert error.status() in statuses[self.transport], f"status {error.status()}: {message}"

    def tensor(self, name: str, array: Any, *, binary: bool = True, datatype: str = "") -> Any:
        """An input; `binary` says how it travels where the transport has a choice."""
        from tritonclient.utils import np_to_triton_dtype

        datatype = datatype or np_to_triton_dtype(array.dtype)
        made = self.module.InferInput(name, list(array.shape), datatype)
        options = {"binary_data": binary} if self.transport == "http" else {}
        return made.set_data_from_numpy(array, **options)

    def bare_tensor(self, name: str, shape: list[int], datatype: str) -> Any:
        """An input that has no data yet."""
        return self.module.InferInput(name, shape, datatype)

    def output(self, name: str, *, binary: bool = True, classes: int = 0) -> Any:
        options = {"binary_data": binary} if self.transport == "http" else {}
        return self.module.InferRequestedOutput(name, class_count=classes, **options)

    @contextlib.asynccontextmanager
    async def another(self, address: str | None = None) -> AsyncIterator[TritonClient]:
        """A second client of the same class, of the same server or of `address`."""
        async with _opened(self.entry, address or _address(self.entry, self.target)) as raw:
            yield TritonClient(self.entry, raw, self.target)

    @contextlib.asynccontextmanager
    async def idle(self) -> AsyncIterator[TritonClient]:
        """A client of a server that runs and is not ready. Raises NotAskedError where there is none."""
        address = self.target.idle_grpc if self.transport == "grpc" else self.target.idle_http
        if not address:
            raise NotAskedError("no server that is not ready is there to be asked")
        async with self.another(address) as found:
            yield found

    async def unreachable(self, call: str, *args: Any) -> None:
        """The call has to fail where nobody listens, rather than to answer anything."""
        with closed_port() as address:
            async with self.another(address) as lost:
                try:
                    answer = await lost(call, *args)
                except (self.error, OSError):
                    return
        raise AssertionError(f"{call} was answered with {answer!r} by nobody")

    async def _refused(
        self, statuses: dict[str, set[str]], naming: str, call: str, *args: Any, **options: Any
    ) -> Any:
        try:
            answer = await self(call, *args, **options)
        except self.error as error:
            self.check_error(error, naming, statuses)
            return error
        raise AssertionError(f"{call} was answered with {answer!r}, and had to be refused")


def pair(rows: int = 1, start: float = 0.0) -> tuple[Any, Any]:
    """Two FP32 arrays [rows, 4] for the model of sums."""
    left = np.arange(rows * 4, dtype=np.float32).reshape(rows, 4) + np.float32(start)
    return left, np.ones((rows, 4), np.float32)


def sums_of(client: TritonClient, left: Any, right: Any, *, binary: bool = True) -> list[Any]:
    """The inputs of the model of sums."""
    return [client.tensor("INPUT0", left, binary=binary), client.tensor("INPUT1", right, binary=binary)]


@contextlib.asynccontextmanager
async def open_client(entry: ClientEntry, target: Target) -> AsyncIterator[TritonClient]:
    """The client of an entry, closed at the end."""
    async with _opened(entry, _address(entry, target)) as raw:
        yield TritonClient(entry, raw, target)


@contextlib.asynccontextmanager
async def _opened(entry: ClientEntry, address: str) -> AsyncIterator[Any]:
    options = {"concurrency": 8} if entry.module == "tritonclient.http" else {}
    raw = getattr(importlib.import_module(entry.module), entry.class_name)(address, **options)
    try:
        yield raw
    finally:
        closing = raw.close()
        if inspect.isawaitable(closing):
            await closing


def _address(entry: ClientEntry, target: Target) -> str:
    return target.grpc if "grpc" in entry.module else target.http

"""What the hop needs of a foreign server; a grpc channel is the adapter."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from trireme_common.errors import Code
from trireme_common.stage_state import State, TensorInfo
from trireme_gateway.hop.ports import UnansweredError


class ServerAwayError(UnansweredError):
    """The server did not take the call: it is gone, is about to go, or refuses for now."""

    def __init__(self, detail: str) -> None:
        super().__init__(Code.BACKEND_UNAVAILABLE, detail)


@dataclass(frozen=True, slots=True)
class IndexEntry:
    """A line of the server's index. `version` is empty where it tells none; `state` is None where it tells
    none either, as of a model that was never loaded."""

    name: str
    version: str = ""
    state: State | None = State.READY
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Metadata:
    """What the server says of a model, or of one version of it."""

    versions: tuple[str, ...] = ()
    platform: str = ""
    inputs: tuple[TensorInfo, ...] = ()
    outputs: tuple[TensorInfo, ...] = ()


@dataclass(frozen=True, slots=True)
class Config:
    """Triton's configuration of a version. `json` is its JSON form, `max_batch_size` 0 where the model does
    not batch."""

    json: str = ""
    max_batch_size: int = 0


class Server(Protocol):
    """One server. Every call raises TriremeError: ServerAwayError where it did not take the call,
    UNIMPLEMENTED where it does not know it, DEADLINE_EXCEEDED where it does not answer in time."""

    @property
    def connected(self) -> bool:
        """Whether there is a connection, as far as is known."""

    async def infer(self, message: bytes, seconds: float, traceparent: str) -> bytes:
        """A serialised ModelInferResponse to a serialised ModelInferRequest, within `seconds`."""

    async def server_ready(self) -> bool: ...

    async def model_ready(self, name: str, version: str) -> bool: ...

    async def index(self) -> list[IndexEntry]: ...

    async def metadata(self, name: str, version: str) -> Metadata: ...

    async def config(self, name: str, version: str) -> Config: ...


OpenServer = Callable[[str], AbstractAsyncContextManager[Server]]
"""The server at an address, for as long as the context is open."""

Wanted = Callable[[], Mapping[str, Mapping[str, int]]]
"""Models and versions of the repository, as the other stages have them, with the `max_batch_size` of each."""

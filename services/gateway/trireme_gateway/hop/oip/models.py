"""Which models a foreign server has ready, in the terms in which our own stages say it.

A server with Triton's RepositoryIndex tells all of its models; of one without, the repository's models are
asked one by one. What a version looks like is asked when it becomes ready, and every ten seconds again, in
case it was loaded anew under the same number.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from trireme_common.errors import Code, TriremeError
from trireme_common.model_spec import is_model_name
from trireme_common.stage_state import ModelDescriptor, ModelVersion, StageState, State
from trireme_gateway.hop.oip.ports import Config, IndexEntry, Metadata, Server, ServerAwayError, Wanted
from trireme_gateway.hop.ports import Key

RENEW_SECONDS = 10.0
_UNNUMBERED = "1"


@dataclass(frozen=True, slots=True)
class Served:
    """How a version is asked: by the number that the server knows, empty where it tells none, and with how
    many rows at most; fewer than two where its items go one by one."""

    version: str
    most_rows: int


class ServerModels:
    """One connection's view of a server; `clock` is in seconds."""

    def __init__(self, server: Server, wanted: Wanted, clock: Callable[[], float] = time.monotonic) -> None:
        self.served: Mapping[Key, Served] = {}
        """The versions that are ready, by the name and version that the gateway uses."""
        self._server = server
        self._wanted = wanted
        self._clock = clock
        self._indexed = True
        self._described: dict[Key, tuple[ModelDescriptor, Served]] = {}
        self._versions: dict[str, tuple[str, ...]] = {}
        self._renewed = clock()

    async def look(self) -> StageState:
        """The server's state; draining while it says that it is not ready.

        Raises TriremeError where it does not answer.
        """
        if self._clock() - self._renewed >= RENEW_SECONDS:
            self._renewed = self._clock()
            self._described, self._versions = {}, {}
        try:
            entries = await self._entries()
        except ServerAwayError:
            if not self._server.connected:
                raise
            entries = None
        if entries is None:
            self.served = {}
            return StageState(draining=True)
        found = [await self._version(entry) for entry in entries if is_model_name(entry.name)]
        models = [model for model in found if model is not None]
        ready = {(model.name, model.version) for model in models if model.descriptor is not None}
        self._described = {key: kept for key, kept in self._described.items() if key in ready}
        self.served = {key: served for key, (_, served) in self._described.items()}
        return StageState((*models, *self._missing(models)))

    async def _entries(self) -> list[IndexEntry] | None:
        """None where the server is not ready."""
        if self._indexed:
            try:
                return await self._server.index()
            except TriremeError as error:
                if error.code is not Code.UNIMPLEMENTED:
                    raise
                self._indexed = False
        if not await self._server.server_ready():
            return None
        return [entry for name in self._wanted() for entry in await self._asked(name)]

    async def _asked(self, name: str) -> list[IndexEntry]:
        """The entries of a model that an index would have."""
        try:
            if name not in self._versions:
                self._versions[name] = (await self._server.metadata(name, "")).versions or ("",)
            return [
                IndexEntry(name, version)
                for version in self._versions[name]
                if await self._server.model_ready(name, version)
            ]
        except TriremeError as error:
            self._check(error)
            self._versions.pop(name, None)  # it may come with other versions
            return []

    async def _version(self, entry: IndexEntry) -> ModelVersion | None:
        if entry.state is None and entry.name not in self._wanted():
            return None  # there to be loaded, should anybody wish so: nothing is wrong with it
        if entry.state is not State.READY:
            return ModelVersion(
                entry.name, entry.version, entry.state or State.UNAVAILABLE, entry.reason or _why(entry.state)
            )
        version = entry.version or _UNNUMBERED
        try:
            descriptor = await self._descriptor((entry.name, version), entry.version)
        except TriremeError as error:
            self._check(error)
            return ModelVersion(entry.name, version, State.UNAVAILABLE, error.detail)
        return ModelVersion(entry.name, version, State.READY, descriptor=descriptor)

    async def _descriptor(self, key: Key, asked: str) -> ModelDescriptor:
        if key not in self._described:
            metadata = await self._server.metadata(key[0], asked)
            config = await self._config(key[0], asked)
            if config is not None:
                most_rows = config.max_batch_size
            else:
                most_rows = self._wanted().get(key[0], {}).get(key[1], 0) if _free_rows(metadata) else 0
            self._described[key] = (_described(metadata, config or Config()), Served(asked, most_rows))
        return self._described[key][0]

    async def _config(self, name: str, asked: str) -> Config | None:
        """None of a server that has none, which is beyond the protocol."""
        try:
            return await self._server.config(name, asked)
        except TriremeError as error:
            self._check(error)
            return None

    def _check(self, error: TriremeError) -> None:
        """Raises what says that the server, and not the model, is missing."""
        if error.code is Code.DEADLINE_EXCEEDED or not self._server.connected:
            raise error

    def _missing(self, models: list[ModelVersion]) -> Iterator[ModelVersion]:
        """The repository's models of which the server has no version that it could answer with, and why."""
        for name, versions in self._wanted().items():
            there = [model for model in models if model.name == name]
            if any(model.version in versions or model.descriptor is None for model in there):
                continue
            has = ", ".join(sorted(model.version for model in there))
            reason = (
                f"the inference server has version {has} of it"
                if has
                else "the inference server does not have it ready"
            )
            for version in sorted(versions):
                yield ModelVersion(name, version, State.UNAVAILABLE, reason)


def _free_rows(metadata: Metadata) -> bool:
    """Whether the first dimension of every tensor is free; of tensors that are not told it is not."""
    tensors = (*metadata.inputs, *metadata.outputs)
    return bool(tensors) and all(info.shape[:1] == (-1,) for info in tensors)


def _why(state: State | None) -> str:
    """The reason of a server that tells none."""
    if state is None:
        return "it is not loaded at the inference server"
    return "the inference server says that it is unavailable" if state is State.UNAVAILABLE else ""


def _described(metadata: Metadata, config: Config) -> ModelDescriptor:
    """Without a task: that, and all else that model.yaml says, the other stages know."""
    said = repr((metadata, config)).encode()
    return ModelDescriptor(
        task="",
        platform=metadata.platform,
        inputs=metadata.inputs,
        outputs=metadata.outputs,
        max_batch_size=config.max_batch_size,
        digest=hashlib.sha256(said).hexdigest(),
        config=config.json,
    )

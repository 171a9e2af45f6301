"""Tensors in shared memory: where a request says they lie, and what is needed to read and write them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from trireme_common.errors import Code, TriremeError
from trireme_common.tensors import Tensor
from trireme_gateway.v2.offload import away_from_loop

REGION, OFFSET, BYTE_SIZE = "shared_memory_region", "shared_memory_offset", "shared_memory_byte_size"
_MAX_SIZE = 2**63 - 1  # what the parameters' int64 can say


@dataclass(frozen=True, slots=True)
class Place:
    """`byte_size` bytes from `offset` on in a region that was registered under the name `region`."""

    region: str
    offset: int
    byte_size: int


class SharedMemory(Protocol):
    """The registered regions. All raise TriremeError: NOT_FOUND for an unknown region, INVALID_ARGUMENT
    where the place is not inside it or its memory is no longer there."""

    @property
    def enabled(self) -> bool:
        """Whether there can be any."""

    def check(self, place: Place) -> None: ...

    def read(self, place: Place) -> bytes: ...

    def write(self, place: Place, data: bytes) -> None:
        """Puts `data`, at most the place's size, at its beginning."""


class NoSharedMemory:
    """No region is registered, ever."""

    enabled = False

    def check(self, place: Place) -> None:
        raise TriremeError(Code.NOT_FOUND, f"Unable to find shared memory region: '{place.region[:256]}'")

    def read(self, place: Place) -> bytes:
        self.check(place)
        return b""

    def write(self, place: Place, data: bytes) -> None:
        self.check(place)


class SharedInputs:
    """Reads the inputs of one request, no more than `limit` bytes of them together."""

    def __init__(self, memory: SharedMemory, limit: int) -> None:
        self._memory = memory
        self._limit = limit
        self._taken = 0

    def take(self, place: Place) -> bytes:
        """Raises TriremeError as `SharedMemory` does, and PAYLOAD_TOO_LARGE."""
        self._taken += place.byte_size
        self._memory.check(place)
        if self._taken > self._limit:
            raise TriremeError(
                Code.PAYLOAD_TOO_LARGE,
                f"the inputs in shared memory are larger than the limit of {self._limit} bytes",
            )
        return self._memory.read(place)


NO_SHARED_INPUTS = SharedInputs(NoSharedMemory(), 0)


def shared_inputs(memory: SharedMemory, limit: int) -> SharedInputs:
    """The reader for one request."""
    return SharedInputs(memory, limit) if memory.enabled else NO_SHARED_INPUTS


def place_of(parameters: Mapping[str, object], where: str) -> Place | None:
    """Where the parameters of an input or output say that its data lies; None where they say nothing.

    Raises TriremeError(INVALID_ARGUMENT) where they say something else than they may.
    """
    if REGION not in parameters:
        if BYTE_SIZE in parameters or OFFSET in parameters:
            raise TriremeError(
                Code.INVALID_ARGUMENT, f"{where}: '{BYTE_SIZE}' and '{OFFSET}' need '{REGION}' beside them"
            )
        return None
    region = parameters[REGION]
    if not isinstance(region, str):
        raise TriremeError(Code.INVALID_ARGUMENT, f"{where}: Unable to parse '{REGION}'")
    if BYTE_SIZE not in parameters:
        raise TriremeError(Code.INVALID_ARGUMENT, f"{where}: '{REGION}' needs '{BYTE_SIZE}' beside it")
    return Place(region, _size(parameters, OFFSET, where), _size(parameters, BYTE_SIZE, where))


def place_parameters(place: Place, tensor: Tensor) -> dict[str, str | int]:
    """The parameters of an output that was put into shared memory."""
    found: dict[str, str | int] = {REGION: place.region, BYTE_SIZE: len(tensor.data)}
    return {**found, OFFSET: place.offset} if place.offset else found


def _size(parameters: Mapping[str, object], key: str, where: str) -> int:
    value = parameters.get(key, 0)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _MAX_SIZE:
        raise TriremeError(Code.INVALID_ARGUMENT, f"{where}: Unable to parse '{key}'")
    return value


async def write_outputs(
    memory: SharedMemory, places: Mapping[str, Place], outputs: Mapping[str, Tensor]
) -> None:
    """Puts each output that has a place there; none is written where one does not fit.

    Raises TriremeError as `SharedMemory` does.
    """
    for name, place in places.items():
        size = len(outputs[name].data)
        if size > place.byte_size:
            raise TriremeError(
                Code.INVALID_ARGUMENT,
                f"shared memory size specified with the request for output '{name}' "
                f"({place.byte_size} bytes) should be at least {size} bytes to hold the results",
            )

    def write() -> None:
        for name, place in places.items():
            memory.write(place, bytes(outputs[name].data))

    await away_from_loop(write, sum(len(outputs[name].data) for name in places))

"""What the service and a worker say to each other: small JSON messages on a socket pair that keeps
their boundaries. Tensors do not travel here, only where they lie in a shared segment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import orjson

MAX_MESSAGE_BYTES = 128 * 1024
"""Longer messages are never sent: a socket's buffer takes this much at once."""
_MAX_DETAIL = 2000


class BadMessage(Exception):
    """Not a message of this protocol: the process at the other end is broken."""


@dataclass(frozen=True, slots=True)
class Placed:
    """A tensor in a segment. A BYTES tensor lies there as its elements behind their 4-byte lengths."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    start: int
    size: int
    """Bytes."""


@dataclass(frozen=True, slots=True)
class Open:
    """Service to worker, once: open the model with the opener `module:function`."""

    opener: str
    directory: str
    options: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Opened:
    """Worker to service: the model is open. Inputs and outputs are (name, datatype, shape)."""

    inputs: tuple[tuple[str, str, tuple[int, ...]], ...]
    outputs: tuple[tuple[str, str, tuple[int, ...]], ...]
    platform: str
    device: str


@dataclass(frozen=True, slots=True)
class Run:
    """Service to worker: run the model once on `inputs`, which lie in `segment`; write the outputs
    named by `fetch` into the same segment, from `free` on. A segment's descriptor comes with the
    first message that names it; those in `forget` are not used again."""

    segment: int
    inputs: tuple[Placed, ...]
    fetch: tuple[str, ...]
    free: int
    forget: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Done:
    """Worker to service: the run's outputs, in the order of `fetch`."""

    outputs: tuple[Placed, ...]


@dataclass(frozen=True, slots=True)
class Room:
    """Worker to service: the outputs take `size` bytes, more than the segment has left. Service to
    worker: here is `segment`, empty, for them."""

    size: int
    segment: int = 0


@dataclass(frozen=True, slots=True)
class Failed:
    """Worker to service: the model was refused, or the run failed; the worker lives on."""

    detail: str
    device: bool = False
    """Whether it was the device that failed."""
    missing: int = 0
    """Bytes that the device lacks, where the model was refused for want of room there."""


Message = Open | Opened | Run | Done | Room | Failed
_KINDS: dict[str, type[Message]] = {kind.__name__: kind for kind in (Open, Opened, Run, Done, Room, Failed)}


def encode(message: Message) -> bytes:
    """Bytes of a message. Raises BadMessage where it is too long to be sent."""
    if isinstance(message, Failed) and len(message.detail) > _MAX_DETAIL:
        message = replace(message, detail=message.detail[:_MAX_DETAIL])
    data = orjson.dumps({type(message).__name__: message})
    if len(data) > MAX_MESSAGE_BYTES:
        raise BadMessage(f"{len(data)} bytes of control message, at most {MAX_MESSAGE_BYTES} can be sent")
    return data


def decode(data: bytes | memoryview) -> Message:
    """Inverse of `encode`. Raises BadMessage."""
    try:
        ((name, fields),) = orjson.loads(data).items()
        message = _KINDS[name](**fields)
        return _with_tensors(message)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise BadMessage(f"a control message cannot be read: {type(error).__name__}") from error


def _with_tensors(message: Message) -> Message:
    if isinstance(message, Run):
        return Run(message.segment, _placed(message.inputs), tuple(message.fetch), message.free,
                   tuple(message.forget))  # fmt: skip
    if isinstance(message, Done):
        return Done(_placed(message.outputs))
    if isinstance(message, Opened):
        return Opened(_infos(message.inputs), _infos(message.outputs), message.platform, message.device)
    return message


def _placed(entries: Any) -> tuple[Placed, ...]:
    return tuple(
        Placed(entry["name"], entry["datatype"], tuple(entry["shape"]), entry["start"], entry["size"])
        for entry in entries
    )


def _infos(entries: Any) -> tuple[tuple[str, str, tuple[int, ...]], ...]:
    return tuple((name, datatype, tuple(shape)) for name, datatype, shape in entries)

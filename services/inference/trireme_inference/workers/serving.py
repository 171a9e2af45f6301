"""The life of a worker: opens one model, answers one run at a time, ends with its socket.

Runs in the worker's only Python thread. Nothing is logged here: what a runtime prints may quote an
input, so both output streams of a worker lead nowhere, and what is worth telling goes in a message.
"""

from __future__ import annotations

import importlib
import socket
import time
from mmap import mmap
from pathlib import Path

import numpy as np

from trireme_common.errors import TriremeError
from trireme_common.memory import NoRoomError
from trireme_common.stage_state import TensorInfo
from trireme_common.tensors import Array
from trireme_inference import run_clock
from trireme_inference.backend import Backend, DeviceError, Opener, OpenOptions, RunError
from trireme_inference.workers.channel import NO_STAMP, Channel, Ended
from trireme_inference.workers.messages import Done, Failed, Message, Open, Opened, Placed, Room, Run
from trireme_inference.workers.segment import Buffer, aligned, array_of, map_whole, parts_of


def serve_model(connection: socket.socket) -> None:
    """Returns when the service is gone or done with this worker."""
    channel = Channel(connection)
    try:
        order, _ = channel.receive()
        if not isinstance(order, Open):
            return
        backend = _open(order, channel)
        if backend is not None:
            _Server(backend, channel).serve()
    except Ended:
        pass


def opener_of(reference: str) -> Opener:
    """The opener that `module:function` names."""
    module, _, function = reference.partition(":")
    opener: Opener = getattr(importlib.import_module(module), function)
    return opener


def _open(order: Open, channel: Channel) -> Backend | None:
    try:
        options = OpenOptions(**order.options)
        backend = opener_of(order.opener)(Path(order.directory), options)
    except NoRoomError as error:
        channel.send(Failed(error.detail, missing=error.shortage.missing))
    except TriremeError as error:
        channel.send(Failed(error.detail))
    except Exception as error:  # a foreign file can make a library raise anything
        channel.send(Failed(f"{type(error).__name__}: {error}"))
    else:
        channel.send(
            Opened(_plain(backend.inputs), _plain(backend.outputs), backend.platform, backend.device)
        )
        return backend
    return None


def _plain(infos: tuple[TensorInfo, ...]) -> tuple[tuple[str, str, tuple[int, ...]], ...]:
    return tuple((info.name, info.datatype, info.shape) for info in infos)


class _Server:
    """Runs of one opened model."""

    def __init__(self, backend: Backend, channel: Channel) -> None:
        self._backend = backend
        self._channel = channel
        self._segments: dict[int, mmap] = {}
        self._span = NO_STAMP
        """When the model began and ended, in the last run."""

    def serve(self) -> None:
        while True:
            order, descriptors = self._channel.receive()
            if not isinstance(order, Run):
                return
            for number in order.forget:
                self._segments.pop(number, None)
            answer = self._answer(order, self._segment(order.segment, descriptors))
            self._channel.send(answer, stamp=self._span)

    def _answer(self, order: Run, segment: mmap) -> Message:
        try:
            whole = np.frombuffer(segment, dtype=np.uint8)
            feed = {placed.name: array_of(whole, placed) for placed in order.inputs}
            began = time.monotonic()
            outputs = self._backend.run(feed, order.fetch)
            self._span = run_clock.told(began, time.monotonic())
            parts = [parts_of(output) for output in outputs]
        except RunError as error:
            return Failed(error.detail, isinstance(error, DeviceError))
        except Exception:  # a runtime may raise anything, and its words may quote the input
            return Failed("the model failed on this input")
        return Done(self._place(order, outputs, parts, segment))

    def _place(
        self, order: Run, outputs: list[Array], parts: list[tuple[str, Buffer]], segment: mmap
    ) -> tuple[Placed, ...]:
        position = order.free
        needed = sum(aligned(len(data)) for _, data in parts)
        if position + needed > len(segment):
            segment, position = self._room(needed), 0
        placed = []
        for name, output, (datatype, data) in zip(order.fetch, outputs, parts, strict=True):
            placed.append(Placed(name, datatype, output.shape, position, len(data)))
            segment[position : position + len(data)] = data
            position = aligned(position + len(data))
        return tuple(placed)

    def _room(self, size: int) -> mmap:
        self._channel.send(Room(size))
        given, descriptors = self._channel.receive()
        if not isinstance(given, Room):
            raise Ended
        return self._segment(given.segment, descriptors)

    def _segment(self, number: int, descriptors: list[int]) -> mmap:
        for descriptor in descriptors:
            self._segments[number] = map_whole(descriptor)
        return self._segments[number]

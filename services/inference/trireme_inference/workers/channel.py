"""Messages and descriptors over one end of a socket pair."""

from __future__ import annotations

import array
import contextlib
import socket
import struct
from collections.abc import Sequence

from trireme_inference.workers.messages import MAX_MESSAGE_BYTES, BadMessage, Message, decode, encode

_ANCILLARY_BYTES = socket.CMSG_SPACE(2 * array.array("i").itemsize)
_REPEATED_BYTES = 2048
_REPEATED_MESSAGES = 64
_STAMP = struct.Struct("<dd")
# Apart from the message, so that equal messages stay equal.
NO_STAMP = 0.0, 0.0


class Ended(Exception):
    """The other end is closed: its process has ended, or is done with this one."""


def socket_pair() -> tuple[socket.socket, socket.socket]:
    """Two ends that keep the boundaries of messages, and tell when the other one is closed."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


class Channel:
    """One end. Used by one thread at a time."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        # Kept: a fresh one for every message would be mapped and unmapped each time.
        self._buffer = bytearray(_STAMP.size + MAX_MESSAGE_BYTES)
        # Batches of equal shapes make equal messages: most of them need not be read again.
        self._repeated: dict[bytes, Message] = {}
        self.stamp = NO_STAMP
        """That of the message received last."""

    def fileno(self) -> int:
        return self._socket.fileno()

    def send(
        self, message: Message, descriptors: Sequence[int] = (), stamp: tuple[float, float] = NO_STAMP
    ) -> None:
        """`stamp` is two moments of the monotonic clock that go with the message.

        Raises Ended, or BadMessage for a message that is too long.
        """
        data = _STAMP.pack(*stamp) + encode(message)
        if self._socket.fileno() < 0:
            raise Ended
        try:
            if descriptors:
                socket.send_fds(self._socket, [data], list(descriptors))
            else:
                self._socket.send(data)
        except (BrokenPipeError, ConnectionResetError) as error:
            raise Ended from error

    def receive(self, timeout_seconds: float | None = None) -> tuple[Message, list[int]]:
        """The next message, and the descriptors that came with it, which now belong to the caller.

        Raises Ended, TimeoutError, or BadMessage.
        """
        self._socket.settimeout(timeout_seconds)
        try:
            size, ancillary, _, _ = self._socket.recvmsg_into([self._buffer], _ANCILLARY_BYTES)
        except ConnectionResetError as error:
            raise Ended from error
        if not size:
            raise Ended
        if size < _STAMP.size:
            raise BadMessage("a control message is cut off")
        self.stamp = _STAMP.unpack_from(self._buffer)
        return self._decoded(size), _descriptors(ancillary) if ancillary else []

    def _decoded(self, size: int) -> Message:
        view = memoryview(self._buffer)[_STAMP.size : size]
        if size > _REPEATED_BYTES:
            return decode(view)
        data = bytes(view)
        message = self._repeated.get(data)
        if message is None:
            if len(self._repeated) >= _REPEATED_MESSAGES:
                self._repeated.clear()
            message = self._repeated[data] = decode(data)
        return message

    def shut(self) -> None:
        """Wakes whoever waits on either end; the descriptor stays open."""
        with contextlib.suppress(OSError):  # the other end may be gone already
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._socket.close()


def _descriptors(ancillary: Sequence[tuple[int, int, bytes]]) -> list[int]:
    found = array.array("i")
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            found.frombytes(data[: len(data) - len(data) % found.itemsize])
    return found.tolist()

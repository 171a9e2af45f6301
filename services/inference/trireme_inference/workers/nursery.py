"""A process that has imported what workers need and forks them, so that one starts in milliseconds.

It runs no model, opens none, and never has a second thread: a fork copies only the thread that calls
it, and a lock that another one holds would stay locked for ever. A runtime that starts threads when it
is imported (ONNX Runtime does) is therefore imported by the worker, after the fork.

The service speaks to it over a socket pair: one byte of order, `F` with the worker's socket or `E` with
a process id, and one line of answer to each: a process id or `-errno`, a wait status or -1. When the
service goes, however it goes, the nursery reads the end of its socket and leaves, and the kernel kills the
workers with it.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import gc
import importlib
import os
import resource
import signal
import socket
import time
from collections.abc import Sequence
from pathlib import Path

from trireme_inference.workers.serving import serve_model

FORK, END = b"F", b"E"
READY = "ready"
_MAX_ORDER_BYTES = 64
_END_SECONDS = 10.0
_POLL_SECONDS = 0.001
_PR_SET_PDEATHSIG = 1
# The kernel that runs out of memory takes a worker before it takes the service.
_OOM_SCORE_ADJUSTMENT = "500"
_LEFT_TO_THE_SERVICE = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run_nursery(service: socket.socket, modules: Sequence[str]) -> None:
    """Serves orders until the service's end of the socket is closed."""
    # Ctrl-C and a supervisor's SIGTERM reach the whole group: the service decides when a worker ends.
    for number in _LEFT_TO_THE_SERVICE:
        signal.signal(number, signal.SIG_IGN)
    service.send(_prepared(modules).encode()[:1000])
    while True:
        order, descriptors, _, _ = socket.recv_fds(service, _MAX_ORDER_BYTES, 1)
        if not order:
            return
        if order[:1] == FORK:
            # The kernel leaves a descriptor out where this process may have no more of them.
            answer = _fork(service, descriptors[0]) if descriptors else -errno.EMFILE
            service.send(str(answer).encode())
        elif order[:1] == END:
            service.send(str(_end(int(order[1:]))).encode())


def _prepared(modules: Sequence[str]) -> str:
    """`READY`, or why no worker can be forked."""
    try:
        for module in modules:
            importlib.import_module(module)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    if threads := len(os.listdir("/proc/self/task")) - 1:
        return f"importing {', '.join(modules)} started {threads} threads; workers cannot be forked"
    # What stands now is shared with every worker for as long as nobody writes to it.
    gc.collect()
    gc.freeze()
    return READY


def _fork(service: socket.socket, descriptor: int) -> int:
    """Process id of the new worker, or `-errno` where the kernel refuses it."""
    nursery = os.getpid()
    try:
        pid = os.fork()
    except OSError as error:
        os.close(descriptor)
        return -(error.errno or errno.EAGAIN)
    if pid:
        os.close(descriptor)
        return pid
    code = 1
    try:
        service.close()
        _settle(nursery)
        serve_model(socket.socket(fileno=descriptor))
        code = 0
    finally:
        # At once: no runtime's own farewell can hang, and nothing of the nursery's is cleaned up twice.
        os._exit(code)


def _settle(nursery: int) -> None:
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != nursery:
        os._exit(1)
    # A core file would hold what callers sent.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(OSError):  # a preference, which a sandbox may forbid
        Path("/proc/self/oom_score_adj").write_text(_OOM_SCORE_ADJUSTMENT)


def _end(pid: int) -> int:
    """Kills and reaps a worker. Its wait status, or -1 where it is no child, or does not die in time."""
    give_up = time.monotonic() + _END_SECONDS
    try:
        # Asked first: an id that is no child's, a former nursery's for one, may be anybody's by now.
        found, status = os.waitpid(pid, os.WNOHANG)
        if not found:
            os.kill(pid, signal.SIGKILL)
        while not found:
            if time.monotonic() > give_up:
                return -1
            time.sleep(_POLL_SECONDS)
            found, status = os.waitpid(pid, os.WNOHANG)
    except OSError:
        return -1
    return status

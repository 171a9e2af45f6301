"""A module after whose import a process may fork once, as where a limit of processes is reached."""

import errno
import os

_fork = os.fork
_forks = 0


def fork() -> int:
    global _forks
    _forks += 1
    if _forks > 1:
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
    return _fork()


os.fork = fork

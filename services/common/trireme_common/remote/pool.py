"""A bounded number of daemon threads that run tasks in the order they were given.

The standard library's executor joins its threads when the interpreter exits; a download that waits for a
silent server must not hold the end of the process.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future


class Pool:
    """`threads` workers."""

    def __init__(self, threads: int) -> None:
        self._tasks: queue.SimpleQueue[tuple[Future[None], Callable[[], None]] | None] = queue.SimpleQueue()
        self._threads = [
            threading.Thread(target=self._work, name=f"models-source-{number}", daemon=True)
            for number in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, task: Callable[[], None]) -> Future[None]:
        """Queues `task`."""
        future: Future[None] = Future()
        self._tasks.put((future, task))
        return future

    def close(self, *, wait: bool) -> None:
        """Ends the threads once the queue is empty; `wait` until they have ended."""
        for _ in self._threads:
            self._tasks.put(None)
        for thread in self._threads if wait else ():
            thread.join()

    def _work(self) -> None:
        while (entry := self._tasks.get()) is not None:
            future, task = entry
            try:
                task()
            except BaseException as error:
                future.set_exception(error)
            else:
                future.set_result(None)

"""Ray Serve: replicas behind its HTTP proxy, batches by `serve.batch` inside a replica."""

from __future__ import annotations

import logging
import signal
import threading
from typing import Any

import ray
from ray import serve
from starlette.requests import Request
from starlette.responses import Response

from benchmarks.peers.foreign.work import Array, Item, open_work, read_setup

_SETUP = read_setup()


@serve.deployment(
    num_replicas=_SETUP.workers,
    max_ongoing_requests=256,
    ray_actor_options={"num_cpus": 0.5},
    logging_config={"enable_access_log": False, "log_level": "WARNING"},
)
class Peer:
    """One replica has one session."""

    def __init__(self) -> None:
        self._work = open_work(read_setup())

    async def __call__(self, request: Request) -> Response:
        item = self._work.decode(await request.body())
        row = await self.forward(item) if _SETUP.batch > 1 else self._work.run([item])[0]
        return Response(self._work.encode(item, row), media_type=self._work.content_type)

    @serve.batch(max_batch_size=_SETUP.batch, batch_wait_timeout_s=_SETUP.delay_seconds)
    async def forward(self, items: list[Item]) -> list[Array]:
        return self._work.run(items)


def main() -> None:
    ended = threading.Event()
    ray.init(num_cpus=_SETUP.workers + 2, include_dashboard=False, logging_level=logging.WARNING)
    serve.start(
        http_options={"host": "127.0.0.1", "port": _SETUP.port},
        logging_config={"enable_access_log": False, "log_level": "WARNING"},
    )
    application: Any = Peer  # the decorator makes a deployment of the class
    serve.run(application.bind(), name="peer", route_prefix="/")
    signal.signal(signal.SIGTERM, lambda number, frame: ended.set())
    ended.wait()
    ray.shutdown()


if __name__ == "__main__":
    main()

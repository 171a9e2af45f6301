"""Mosec: worker processes behind its front in Rust; a batch is one `forward`."""

from __future__ import annotations

import sys
from typing import Any

from mosec import Server, Worker

from benchmarks.peers.foreign.work import Array, Item, open_work, read_setup


class Peer(Worker):
    """Decodes, runs and encodes in the process that has the session. Without batches Mosec hands over the
    one item itself."""

    def __init__(self) -> None:
        setup = read_setup()
        self._work, self._alone = open_work(setup), setup.batch == 1
        self.resp_mime_type = self._work.content_type

    def deserialize(self, data: bytes) -> Item:
        return self._work.decode(data)

    def serialize(self, data: tuple[Item, Array]) -> bytes:
        return self._work.encode(*data)

    def forward(self, data: Any) -> Any:
        if self._alone:
            return data, self._work.run([data])[0]
        return list(zip(data, self._work.run(data), strict=True))


def main() -> None:
    setup = read_setup()
    sys.argv[1:] = ["--address", "127.0.0.1", "--port", str(setup.port), "--log-level", "warning"]
    sys.argv += ["--timeout", "60000"]
    server = Server()
    wait_ms = max(1, round(setup.delay_ms)) if setup.batch > 1 else 0
    server.append_worker(Peer, num=setup.workers, max_batch_size=setup.batch, max_wait_time=wait_ms)
    server.run()


if __name__ == "__main__":
    main()

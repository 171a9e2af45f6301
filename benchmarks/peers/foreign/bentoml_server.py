"""BentoML: `bentoml serve` of one service with an adaptively batched API.

A batched API takes lists, so a picture travels as base64 in JSON; BentoML's only binary form of a list is a
pickle, which no server should take from a caller.
"""

from __future__ import annotations

import base64
import os
import sys
from pathlib import Path
from typing import Any

import bentoml

from benchmarks.peers.foreign.work import TextWork, open_work, read_setup

_SETUP = read_setup()


@bentoml.service(
    workers=_SETUP.workers,
    traffic={"timeout": 60, "max_concurrency": 1024},
    logging={"access": {"enabled": False}},
)
class Peer:
    """`POST /predict` with `{"items": [...]}`: a text, or an item's tensors in base64."""

    def __init__(self) -> None:
        self._work = open_work(_SETUP)

    @bentoml.api(batchable=True, max_batch_size=max(2, _SETUP.batch), max_latency_ms=60_000, route="/predict")
    def predict(self, items: list[str]) -> list[Any]:
        work = self._work
        if isinstance(work, TextWork):
            texts = [work.item(text) for text in items]
            return [work.answer(*each) for each in zip(texts, work.run(texts), strict=True)]
        decoded = [work.decode(base64.b64decode(item)) for item in items]
        rows = work.run(decoded)
        return [base64.b64encode(work.encode(*each)).decode() for each in zip(decoded, rows, strict=True)]


def main() -> None:
    root = Path(__file__).resolve().parents[3]
    command = [sys.executable, "-m", "bentoml", "serve", "benchmarks.peers.foreign.bentoml_server:Peer"]
    command += ["--working-dir", str(root), "--host", "127.0.0.1", "--port", str(_SETUP.port)]
    os.execv(sys.executable, command)


if __name__ == "__main__":
    main()

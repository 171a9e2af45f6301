"""`python -m benchmarks.load.tensors QUESTIONS --port ...`: one measurement, as one line of JSON."""

from __future__ import annotations

import argparse
import asyncio
import gc
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import orjson
import uvloop

from benchmarks.load.closed_loop import WrongAnswerError
from benchmarks.load.doors import open_door
from benchmarks.load.pace import SEED, Load, Order
from benchmarks.load.process_tree import ProcessesChangedError
from benchmarks.load.questions import Questions
from trireme_cli.loadtest.http import ProtocolError

_FAILURES = (WrongAnswerError, ProtocolError, ProcessesChangedError, OSError, TimeoutError)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("questions", type=Path)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--root", type=int, required=True, help="process whose tree's CPU time is read")
    parser.add_argument("--callers", type=int, required=True, help="connections, or calls under way")
    parser.add_argument("--rate", type=float, help="requests a second of an open loop")
    parser.add_argument("--seed", type=int, default=SEED, help=f"of an open loop's arrivals (default {SEED})")
    parser.add_argument("--warm-up", type=float, default=0.5, help="seconds")
    parser.add_argument("--seconds", type=float, default=2.0)
    given = parser.parse_args()
    order = Order(given.root, given.callers, given.warm_up, given.seconds, given.rate, given.seed)
    questions = Questions.read(given.questions)
    gc.freeze()
    answer: dict[str, Any]
    try:
        answer = uvloop.run(_measure(given.port, order, questions))
    except* _FAILURES as group:
        error = _first(group)
        answer = {"error": f"{type(error).__name__}: {error}"}
    sys.stdout.write(orjson.dumps(answer).decode() + "\n")
    return 1 if "error" in answer else 0


async def _measure(port: int, order: Order, questions: Questions) -> dict[str, Any]:
    """The sample and all latencies of its window."""
    async with open_door(questions.door, port, order.callers, questions.model) as way:
        # A server takes one waiting connection a turn of its loop, and its turns are long under load.
        await asyncio.sleep(0.1)
        load = Load(way, questions)
        sample = await load.run(order)
        return {"sample": asdict(sample), "latencies_ms": load.latencies_ms}


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


if __name__ == "__main__":
    sys.exit(main())

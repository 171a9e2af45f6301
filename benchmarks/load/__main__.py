"""`python -m benchmarks.load EXCHANGES --port ...`: one measurement, as one line of JSON."""

from __future__ import annotations

import argparse
import gc
import sys
from dataclasses import asdict
from pathlib import Path

import orjson
import uvloop

from benchmarks.exchanges import Exchanges
from benchmarks.load.closed_loop import Loop, WrongAnswerError, measure
from benchmarks.load.process_tree import ProcessesChangedError
from trireme_cli.loadtest.http import ProtocolError


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("exchanges", type=Path)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--root", type=int, required=True, help="process whose tree's CPU time is read")
    parser.add_argument("--connections", type=int, required=True)
    parser.add_argument("--warm-up", type=float, default=0.5, help="seconds")
    parser.add_argument("--seconds", type=float, default=5.0)
    given = parser.parse_args()
    loop = Loop(given.port, given.root, given.connections, given.warm_up, given.seconds)
    exchanges = Exchanges.read(given.exchanges)
    gc.freeze()
    try:
        answer = asdict(uvloop.run(measure(loop, exchanges)))
    except (WrongAnswerError, ProtocolError, ProcessesChangedError, OSError) as error:
        answer = {"error": f"{type(error).__name__}: {error}"}
    sys.stdout.write(orjson.dumps(answer).decode() + "\n")
    return 1 if "error" in answer else 0


if __name__ == "__main__":
    sys.exit(main())

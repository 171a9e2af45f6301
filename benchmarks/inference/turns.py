"""Inference servers that are all up, asked in turns: `python -m benchmarks.inference.turns`.

As `benchmarks.turns` does it for whole requests, and for its reasons: windows of about a second, many times
over, so that both sides of a ratio met the same machine. A round has two turns of every server. In the first
it is asked by 64 callers, and at once again in an open loop at 80% of the rate that it just had. In the
second all have the same arrivals, at 80% of the rate that the first server had in this round.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.command import end_by_sigterm, progress
from benchmarks.inference.asking import FAILURES, Tell, Up, ask, best_setting, running, trials
from benchmarks.inference.comparison import SHARE, Visit, tables
from benchmarks.inference.models import MODELS, BenchModel, prepare
from benchmarks.inference.options import FULL, chosen
from benchmarks.inference.servers import OTHERS, OURS, PLATFORM, Server, peer_settings, servers
from benchmarks.machine import this_machine
from benchmarks.peers.catalog import PEERS, SINGLE_FILE, Setting
from benchmarks.servers import ServerError
from benchmarks.turns import BESIDE, checkout, leave, of_checkout
from benchmarks.window import Window

_PEERS = ("mosec", SINGLE_FILE)
_ORDER = 5
_WARM_UP_SECONDS = 0.2
_WIDTH = 170


@dataclass(frozen=True)
class Turns:
    """What was asked for. `names` are the servers, of which the first is what others are compared with."""

    model: BenchModel
    names: tuple[str, ...]
    rounds: int
    window: Window
    beside: Path | None
    """The checkout from which the first server takes part once more, as `BESIDE`."""
    json: Path | None


@dataclass
class Found:
    """Of every server."""

    settings: dict[str, str] = field(default_factory=dict)
    visits: dict[str, list[Visit]] = field(default_factory=dict)


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 1 where a server did not start or answered wrongly, 2 for wrong usage."""
    asked = read_turns(arguments)
    end_by_sigterm()
    machine = this_machine(os.environ)
    try:
        found = _run(asked)
    except (*FAILURES, ValueError, ImportError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0
    leave(tables(found.visits, found.settings), _WIDTH, machine, asdict(found), asked.json)
    return 0


def read_turns(arguments: Sequence[str] | None) -> Turns:
    """Exits with code 2 and a usage line for anything that cannot be done."""
    parser = _parser()
    given = parser.parse_args(arguments)
    ours = chosen(parser, "--ours", given.ours, OURS, (PLATFORM,))
    peers = chosen(parser, "--peers", given.peers, OTHERS, _PEERS)
    if not ours:
        parser.error(f"--ours: choose from {', '.join(OURS)}")
    if given.rounds < 4 or given.seconds <= 0:
        parser.error("--rounds must be 4 at least, --seconds positive")
    names = (*ours, *peers, *([BESIDE] if given.beside is not None else []))
    (model,) = (model for model in MODELS if model.name == given.model)
    window = Window(_WARM_UP_SECONDS, given.seconds)
    return Turns(model, tuple(dict.fromkeys(names)), given.rounds, window, given.beside, given.json)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.inference.turns", description="Inference servers in turns."
    )
    parser.add_argument("--model", default=MODELS[0].name, choices=[model.name for model in MODELS])
    parser.add_argument(
        "--ours",
        metavar="A,B",
        help=f"of {', '.join(OURS)}; the first is what others are compared with (default: {PLATFORM})",
    )
    parser.add_argument(
        "--peers",
        metavar="A,B",
        help=f"of {', '.join(OTHERS)} (default: {', '.join(_PEERS)}); an empty word for none",
    )
    parser.add_argument("--rounds", type=int, default=12, help="each visits every server (default 12)")
    parser.add_argument("--seconds", type=float, default=1.5, help="of every window (default 1.5)")
    parser.add_argument(
        "--beside", type=checkout, metavar="CHECKOUT", help="the first of --ours from there takes part too"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every sample there")
    return parser


def _run(asked: Turns) -> Found:
    found = Found()
    with ExitStack() as stack:
        home = Path(stack.enter_context(TemporaryDirectory(prefix="trireme-turns-")))
        tell = stack.enter_context(progress(steps(asked)))
        tell(f"{asked.model.name}: building and asking ONNX Runtime")
        every = _servers(asked, home)
        settings = {name: _setting(name, server, home, tell) for name, server in every.items()}
        up: dict[str, Up] = {}
        for name, setting in settings.items():
            tell(f"starting {name}")
            with _naming(name):
                up[name] = stack.enter_context(running(every[name], setting, home / name))
                ask(up[name], asked.window)
            found.settings[name], found.visits[name] = str(setting), []
        chance = random.Random(_ORDER)
        for number in range(1, asked.rounds + 1):
            tell(f"round {number}")
            for name, visit in _round(up, asked.window, number, chance).items():
                found.visits[name].append(visit)
    return found


def steps(asked: Turns) -> int:
    """How often something is told, where nothing fails and servers have settings to try."""
    tried = sum(len(peer_settings(peer)) for peer in PEERS if peer.name in asked.names)
    return 1 + tried + len(asked.names) + asked.rounds


def _servers(asked: Turns, home: Path) -> dict[str, Server]:
    """Each with a directory of its own: a server that starts makes its model repository afresh there."""
    prepared = prepare(asked.model, FULL.items)
    every = {}
    for name in asked.names:
        (home / name).mkdir()
        kind, environment = name, dict(os.environ)
        if name == BESIDE and asked.beside is not None:
            kind, environment = asked.names[0], of_checkout(asked.beside)
        every[name] = servers(prepared, home / name, environment)[kind]
    return every


def _setting(name: str, server: Server, home: Path, tell: Tell) -> Setting:
    """The best one, where it is not given which is measured."""
    if server.measured is not None or len(server.settings) == 1:
        return server.measured or server.settings[0]
    every = {str(setting): setting for setting in server.settings}
    with _naming(name):
        return every[best_setting(dict(trials(server, every, home / name, FULL.trial, tell)))]


def _round(up: Mapping[str, Up], window: Window, seed: int, chance: random.Random) -> dict[str, Visit]:
    names = list(up)
    busy, own, same = {}, {}, {}
    for name in chance.sample(names, len(names)):
        with _naming(name):
            busy[name] = ask(up[name], window)
            rate = SHARE * busy[name].sample.requests_per_second
            own[name] = ask(up[name], window, rate=rate, seed=seed)
    rate = SHARE * busy[names[0]].sample.requests_per_second
    for name in chance.sample(names, len(names)):
        with _naming(name):
            same[name] = ask(up[name], window, rate=rate, seed=seed)
    return {name: Visit(busy[name], own[name], same[name]) for name in names}


@contextmanager
def _naming(name: str) -> Iterator[None]:
    """What goes wrong with a server says with which. Raises ServerError."""
    try:
        yield
    except FAILURES as error:
        raise ServerError(f"{name}: {type(error).__name__}: {error}") from error


if __name__ == "__main__":
    sys.exit(main())

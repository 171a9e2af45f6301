"""The command line of `python -m benchmarks.peers`."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from benchmarks.options import Options, choose_pace, parser_of
from benchmarks.peers.lineup import OTHERS, WORKLOAD


def read_options(arguments: Sequence[str]) -> Options:
    """Exits with code 2 and a usage line for anything that cannot be done."""
    parser = parser_of(
        "python -m benchmarks.peers",
        "Measures the platform beside other serving frameworks: the trivial model, a text a request.",
    )
    parser.add_argument(
        "--peer",
        action="append",
        choices=OTHERS,
        help="beside the anchor and ours; may be given again (default: all)",
    )
    given = parser.parse_args(arguments)
    absent = set(OTHERS) - set(given.peer or OTHERS)
    servers = [name for name in WORKLOAD.servers if name not in absent]
    command = shlex.join([*parser.prog.split(), *arguments])
    return Options(choose_pace(parser, given), {WORKLOAD.name: servers}, given.json, given.write, command)

"""`python -m tests.conformance --url http://HOST:PORT --grpc HOST:PORT`: asks a server with clients that
were written elsewhere, every public call of theirs. Exit code 1 where a call fails.

The server has to serve the suite's models: `--write-models DIR` writes them, and `--name sums=other` says
what one of them is called there.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from pathlib import Path
from urllib.parse import urlsplit

from rich.console import Console

from tests.conformance.casebook import FAIL
from tests.conformance.clients import CLIENTS
from tests.conformance.models import write_models
from tests.conformance.openapi.descriptions import own_of_suite, protocol
from tests.conformance.openapi.fuzz import FuzzError, fuzz
from tests.conformance.report import print_table, write_tables
from tests.conformance.suite import ROOT, ask_all
from tests.conformance.target import ModelNames, Target


def main() -> int:
    options = _parser().parse_args()
    names = ModelNames(**dict(options.name))
    if options.write_models is not None:
        write_models(options.write_models, names)
        print(f"wrote the suite's models to {options.write_models}")
        return 0
    if not options.url or not options.grpc:
        print("say --url and --grpc, or --write-models", file=sys.stderr)
        return 2
    target = Target(
        _host(options.url),
        _host(options.grpc),
        same_machine=not options.remote,
        idle_http=_host(options.idle_url),
        idle_grpc=_host(options.idle_grpc),
        models=names,
    )
    outcomes = list(ask_all(options.client, target))
    if options.write_table:
        write_tables(ROOT / "docs" / "protocol.md", outcomes)
    if options.json:
        print(json.dumps([dataclasses.asdict(outcome) for outcome in outcomes], indent=2))
    else:
        print_table(outcomes, Console())
    wrong = any(outcome.result == FAIL for outcome in outcomes)
    if options.openapi:
        wrong |= not _described_rightly(options.url.rstrip("/"), names, options.openapi)
    return int(wrong)


def _described_rightly(url: str, names: ModelNames, cases: int) -> bool:
    """Runs schemathesis over both descriptions, and says on standard error what it found."""
    right = True
    for what, description in (
        ("the protocol's", protocol(names.sums)),
        ("the server's own", own_of_suite(url, names)),
    ):
        try:
            print(f"{what} description:\n{fuzz(description, url, cases=cases, seed=cases)}", file=sys.stderr)
        except FuzzError as error:
            print(f"{what} description:\n{error}", file=sys.stderr)
            right = False
    return right


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.conformance", description=__doc__)
    parser.add_argument("--url", help="the server's REST, for example http://127.0.0.1:8080")
    parser.add_argument("--grpc", help="the server's gRPC, for example 127.0.0.1:8081")
    parser.add_argument("--idle-url", default="", help="REST of another server, which runs and is not ready")
    parser.add_argument("--idle-grpc", default="", help="and its gRPC")
    parser.add_argument(
        "--client", type=_clients, default=list(CLIENTS), help=f"some of {', '.join(CLIENTS)}, with commas"
    )
    parser.add_argument(
        "--name",
        type=_name,
        action="append",
        default=[],
        help="ROLE=MODEL: another name of one of the models",
    )
    parser.add_argument(
        "--openapi",
        type=int,
        default=0,
        metavar="N",
        help="schemathesis too, with N cases for each operation",
    )
    parser.add_argument("--remote", action="store_true", help="the server shares no memory with this machine")
    parser.add_argument("--json", action="store_true", help="outcomes as JSON instead of tables")
    parser.add_argument("--write-table", action="store_true", help="writes the tables into docs/protocol.md")
    parser.add_argument(
        "--write-models", type=Path, metavar="DIR", help="writes the suite's models, and ends"
    )
    return parser


def _clients(text: str) -> list[str]:
    names = text.split(",")
    for name in names:
        if name not in CLIENTS:
            raise argparse.ArgumentTypeError(f"no client '{name}'; there are {', '.join(CLIENTS)}")
    return names


def _name(text: str) -> tuple[str, str]:
    role, equals, name = text.partition("=")
    roles = [field.name for field in dataclasses.fields(ModelNames)]
    if not equals or role not in roles:
        raise argparse.ArgumentTypeError(f"'{text}' is not ROLE=MODEL; the roles are {', '.join(roles)}")
    return role, name


def _host(address: str) -> str:
    return urlsplit(address).netloc or address


if __name__ == "__main__":
    sys.exit(main())

"""`trireme loadtest`: asks a running platform as fast as it answers, or at a rate, and says how it went."""

from __future__ import annotations

import json as json_format
from pathlib import Path
from typing import Annotated

import typer

from trireme_cli.console import person, results, say, write_line
from trireme_cli.failure import Failure, UsageFailure
from trireme_cli.loadtest import render
from trireme_cli.loadtest.form import Form
from trireme_cli.loadtest.loops import Pace
from trireme_cli.loadtest.page import check_name, write_report
from trireme_cli.loadtest.question import Question
from trireme_cli.loadtest.result import Limits, LoadResult
from trireme_cli.platform_client import DEFAULT_URL
from trireme_cli.predict.inputs import Inputs

_SECONDS, _MOST_SECONDS = 10.0, 86_400.0
_CLOSED_CONNECTIONS, _OPEN_CONNECTIONS = 16, 256
_OWN_HEADERS = ("host", "content-length", "content-type", "transfer-encoding", "connection")

EXAMPLES = """Examples:

trireme loadtest sentiment-zh

trireme loadtest digits pictures/ --connections 64 --duration 30 --report digits.html

trireme loadtest sentiment-zh reviews.txt --rate 500 --no-cache

trireme loadtest digits.inference --rate 200 --duration 60 --p99-ms 50 --json"""

Model = Annotated[str, typer.Argument(help="Name of the model.", show_default=False)]
GivenInputs = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[INPUT]...",
        help="What to send in turn, as `trireme predict` reads it: texts, or paths of a picture, .txt, "
        ".jsonl, .csv, a directory; - reads standard input. Without any, distinct samples are made up.",
        show_default=False,
    ),
]
Url = Annotated[str, typer.Option(help="Where the platform listens.", envvar="TRIREME_URL")]
Connections = Annotated[
    int | None,
    typer.Option(
        "--connections", "-c", min=1, max=10_000, show_default=False,
        help="Callers who each ask again when they are answered (16); with --rate, most connections (256).",
    ),
]  # fmt: skip
Rate = Annotated[
    float | None,
    typer.Option(
        min=0.01, max=1_000_000, show_default=False,
        help="Open loop: so many requests a second, whatever the platform does. Latency then counts from the "
        "moment at which a request was to leave.",
    ),
]  # fmt: skip
Duration = Annotated[
    float | None,
    typer.Option(
        "--duration", "-d", min=0.05, show_default=False,
        help="Seconds that count (10; with --requests, as many as they take).",
    ),
]  # fmt: skip
WarmUp = Annotated[float, typer.Option(min=0.0, help="Seconds before that, which do not count.")]
Count = Annotated[
    int | None, typer.Option("--requests", "-n", min=1, help="End after so many.", show_default=False)
]
TimeoutMs = Annotated[float, typer.Option(min=1.0, help="Milliseconds that an answer may take.")]
Protocol = Annotated[
    Form | None,
    typer.Option(
        help="Form of a request: the raw item, KServe's v1, v2 as JSON or binary, or v2 over gRPC (predict; "
        "for a model that takes tensors, v2-binary).",
        show_default=False,
    ),
]
GrpcAddress = Annotated[
    str | None,
    typer.Option(
        metavar="HOST:PORT", show_default=False, help="With --protocol grpc: where (port 8081 of the host)."
    ),
]
NoCache = Annotated[
    bool, typer.Option("--no-cache", help="Send cache-control: no-cache, so that the model itself answers.")
]
Headers = Annotated[
    list[str] | None,
    typer.Option("--header", "-H", metavar="NAME:VALUE", help="Sent along; may be repeated."),
]
Json = Annotated[bool, typer.Option("--json", help="One line of JSON on standard output.")]
Report = Annotated[
    Path | None, typer.Option(help="Write a report with charts, .html or .svg.", show_default=False)
]
ErrorRate = Annotated[float, typer.Option(min=0.0, max=1.0, help="Share that may fail; more is exit code 1.")]
P99 = Annotated[
    float | None, typer.Option("--p99-ms", min=0.0, help="Exit code 1 if p99 is above.", show_default=False)
]
MinRate = Annotated[
    float | None,
    typer.Option(min=0.0, help="Exit code 1 if fewer good answers come a second.", show_default=False),
]


def loadtest(
    model: Model,
    inputs: GivenInputs = None,
    text: Annotated[bool, typer.Option("--text", help="Every INPUT is a text.")] = False,
    url: Url = DEFAULT_URL,
    connections: Connections = None,
    rate: Rate = None,
    duration: Duration = None,
    warm_up: WarmUp = 1.0,
    requests: Count = None,
    timeout_ms: TimeoutMs = 10_000.0,
    protocol: Protocol = None,
    grpc_address: GrpcAddress = None,
    no_cache: NoCache = False,
    header: Headers = None,
    json: Json = False,
    report: Report = None,
    max_error_rate: ErrorRate = 0.0,
    p99_ms: P99 = None,
    min_rate: MinRate = None,
) -> None:
    """Puts load on MODEL and measures: rate, latency percentiles, errors by kind.

    Ctrl-C ends it early, with everything measured so far. Exit code 1 if more failed than
    --max-error-rate allows, or --p99-ms or --min-rate were missed.
    """
    if report is not None:
        check_name(report)
    most = connections or (_CLOSED_CONNECTIONS if rate is None else _OPEN_CONNECTIONS)
    seconds = duration or (_SECONDS if requests is None else _MOST_SECONDS)
    pace = Pace(most, warm_up, seconds, timeout_ms / 1000, rate, requests)
    given = Inputs(inputs or (), (), text)
    question = Question(model, protocol, given, _headers(header or (), no_cache), grpc_address)
    # numpy, gRPC and uvloop are not for the commands that do without.
    from trireme_cli.loadtest.session import measure

    result = measure(url, question, pace)
    _tell(result, json, report)
    missed = Limits(max_error_rate, p99_ms, min_rate).missed(result)
    if missed:
        raise Failure("\n".join(missed))


def _tell(result: LoadResult, json: bool, report: Path | None) -> None:
    if json:
        write_line(json_format.dumps(result.as_dict(), ensure_ascii=False))
    else:
        render.show(results(), result)
    if report is not None:
        write_report(report, result)
        say(person(), f"report: {report}", "dim")


def _headers(given: list[str] | tuple[str, ...], no_cache: bool) -> dict[str, str]:
    headers = {"cache-control": "no-cache"} if no_cache else {}
    for line in given:
        name, colon, value = line.partition(":")
        name = name.strip().lower()
        if not colon or not name or not line.isascii() or not line.isprintable() or " " in name:
            raise UsageFailure(f"--header {line!r}: give NAME:VALUE in ASCII")
        if name in _OWN_HEADERS:
            raise UsageFailure(f"--header {line!r}: {name} follows from the request itself")
        headers[name] = value.strip()
    return headers

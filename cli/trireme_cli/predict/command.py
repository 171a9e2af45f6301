"""`trireme predict`: reads what was asked, asks the model, writes the answers."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import aclosing, contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, TextIO

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from trireme_cli.console import counted, person, say
from trireme_cli.failure import EXIT_FAILURE, Failure, UsageFailure
from trireme_cli.platform_client import DEFAULT_URL, connect
from trireme_cli.predict.calls import Caller, batches
from trireme_cli.predict.inputs import Inputs, read_items
from trireme_cli.predict.items import Item
from trireme_cli.predict.ordered import ordered
from trireme_cli.predict.results import JsonLines, Result, ResultWriter, Table

CONCURRENCY = 8
Advance = Callable[[int], None]

EXAMPLES = """Examples:

trireme predict sentiment-zh 这家店的菜很好吃

trireme predict sentiment-zh reviews.txt --format csv --output answers.csv

trireme predict digits seven.png pictures/

trireme predict tabular --data 59,2,32.1,101,157,93.2,38,4,4.8598,87

cat reviews.txt | trireme predict sentiment-zh -"""


class Format(StrEnum):
    JSONL = "jsonl"
    CSV = "csv"


Model = Annotated[str, typer.Argument(help="Name of the model.", show_default=False)]
GivenInputs = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[INPUT]...",
        help="Texts, or paths: a picture, .txt (a text a line), .jsonl, .csv, a directory of them; "
        "- reads standard input.",
        show_default=False,
    ),
]
ForceText = Annotated[
    bool, typer.Option("--text", help="Every INPUT is a text, even if a file has its name.")
]
Rows = Annotated[
    list[str] | None, typer.Option(help="A row of numbers; may be given often.", metavar="1,2,3")
]
Url = Annotated[str, typer.Option(help="Where the platform listens.", envvar="TRIREME_URL")]
Output = Annotated[
    Path | None,
    typer.Option("--output", "-o", help="Write the results to this file.", show_default=False),
]
ChosenFormat = Annotated[Format, typer.Option(help="Form of the results.")]
Timeout = Annotated[float, typer.Option(help="Seconds one call may take.", min=0.001)]


def predict(
    model: Model,
    inputs: GivenInputs = None,
    text: ForceText = False,
    data: Rows = None,
    url: Url = DEFAULT_URL,
    output: Output = None,
    format: ChosenFormat = Format.JSONL,
    timeout: Timeout = 60.0,
) -> None:
    """Asks MODEL: one answer, or a file or directory of them.

    Results go to standard output in the order of the inputs, everything else to standard error.
    Exit code 1 if any item failed.
    """
    asked = Inputs(inputs or (), data or (), text)
    if not asked.arguments and not asked.data:
        raise UsageFailure("nothing to predict: give texts or paths, `-` for standard input, or --data 1,2,3")
    failed = asyncio.run(_predict(model, asked, url, output, format, timeout))
    if failed:
        raise typer.Exit(EXIT_FAILURE)


async def _predict(
    model: str, asked: Inputs, url: str, output: Path | None, format: Format, seconds: float
) -> int:
    async with connect(url, seconds, CONCURRENCY) as client:
        described = await client.model(model)
        if not described.get("ready"):
            shown = client.url
            raise Failure(
                f"model {model} is not ready at {shown}; `trireme models list --url {shown}` says why"
            )
        task = str(described.get("task", ""))
        items = read_items(asked, task, sys.stdin.buffer)
        if not items:
            raise UsageFailure("nothing to predict: the input is empty")
        with _destination(output) as file:
            writer = Table(file, task) if format is Format.CSV else JsonLines(file)
            return await _answer_all(Caller(client, model), items, writer)


async def _answer_all(caller: Caller, items: list[Item], writer: ResultWriter) -> int:
    began = time.monotonic()
    failures: list[Result] = []
    with _progress(len(items)) as advance:
        async with aclosing(ordered(batches(items), caller.answer, CONCURRENCY)) as answers:
            async for results in answers:
                for result in results:
                    writer.write(result)
                failures.extend(result for result in results if result.failed)
                advance(len(results))
    _summary(len(items), failures, time.monotonic() - began)
    return len(failures)


def _summary(total: int, failures: list[Result], seconds: float) -> None:
    console = person()
    for failure in failures[:3]:
        error = failure.fields["error"]
        say(console, f"input {failure.origin.input} failed: {error['detail']} ({error['code']})", "red")
    rate = f", {total / seconds:.0f} a second" if total > 1 and seconds > 0 else ""
    say(console, f"{counted(total, 'item')}, {len(failures)} failed, {seconds:.2f} s{rate}", "dim")


@contextmanager
def _destination(output: Path | None) -> Iterator[TextIO]:
    if output is None:
        yield sys.stdout
        return
    try:
        file = output.open("w", encoding="utf-8", newline="")
    except OSError as error:
        raise UsageFailure(f"--output {output}: {error.strerror}") from error
    with file:
        yield file


@contextmanager
def _progress(total: int) -> Iterator[Advance]:
    console = person()
    columns = (TextColumn("predicting"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=total < 2 or not console.is_terminal) as progress:
        task = progress.add_task("", total=total)
        yield lambda number: progress.advance(task, number)

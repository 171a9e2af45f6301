"""One load test from the platform's address to its result."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import uvloop

from trireme_cli.console import person, say
from trireme_cli.loadtest import render
from trireme_cli.loadtest.connection import Connection
from trireme_cli.loadtest.form import Form
from trireme_cli.loadtest.grpc_caller import grpc_callers
from trireme_cli.loadtest.loops import Asker, Pace, Run
from trireme_cli.loadtest.question import Question
from trireme_cli.loadtest.result import LoadResult, Subject
from trireme_cli.loadtest.target import Target, check_answer, find_target
from trireme_cli.platform_client import connect
from trireme_cli.up.ports import join

_FIND_SECONDS = 10.0
_GRPC_PORT = 8081


def measure(url: str, question: Question, pace: Pace) -> LoadResult:
    """Asks once, then runs the load. SIGINT and SIGTERM end it early; what was measured stands.

    Raises Failure where the platform or the model cannot be asked, UsageFailure for what makes no sense.
    """
    return uvloop.run(_measure(url, question, pace))


async def _measure(url: str, question: Question, pace: Pace) -> LoadResult:
    async with connect(url, _FIND_SECONDS) as client:
        target = await find_target(client, question, sys.stdin.buffer)
    async with _askers(target, question, pace.timeout_seconds) as connect_to:
        await check_answer(target, connect_to())
        return await _run(target, _subject(client.url, question, target), pace, connect_to)


@asynccontextmanager
async def _askers(
    target: Target, question: Question, timeout_seconds: float
) -> AsyncIterator[Callable[[], Asker]]:
    if target.form is not Form.GRPC:
        yield lambda: Connection(target.address, timeout_seconds)
        return
    address = question.grpc_address or join(target.address.host, _GRPC_PORT)
    async with grpc_callers(address, question.headers, timeout_seconds) as make:
        yield make


async def _run(target: Target, subject: Subject, pace: Pace, connect_to: Callable[[], Asker]) -> LoadResult:
    console = person()
    made_up = " made-up" if target.made_up else ""
    say(
        console,
        f"{subject.model} at {subject.url}, {subject.protocol}, {render.loop_words(pace)}, "
        f"{subject.distinct_requests:,} distinct{made_up} requests",
        "dim",
    )
    run = Run(pace, target.requests, connect_to)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, run.stop)
    async with render.live(console, pace, run.tally):
        tally = await run.run()
    return LoadResult(subject, pace, tally, run.stopped)


def _subject(url: str, question: Question, target: Target) -> Subject:
    return Subject(
        model=question.model,
        url=url,
        protocol=target.form.value,
        task=target.task,
        distinct_requests=len(target.requests),
        started=datetime.now(UTC).isoformat(timespec="seconds"),
    )

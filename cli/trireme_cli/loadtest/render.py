"""A load test for people: live while it runs, and as tables afterwards."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from rich import box
from rich.console import Console
from rich.filesize import decimal
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Column, Table

from trireme_cli.console import say
from trireme_cli.loadtest.loops import Pace
from trireme_cli.loadtest.result import LoadResult
from trireme_cli.loadtest.tally import Tally

_TICK_SECONDS, _RECENT_SECONDS = 0.25, 1.0
_CACHED_SHARE = 0.5


@asynccontextmanager
async def live(console: Console, pace: Pace, tally: Tally) -> AsyncIterator[None]:
    """A bar with the rate, p50 and p99 of the last second, until the end of the block."""
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("warming up", total=pace.warm_up_seconds + pace.seconds)
        began = time.perf_counter()

        async def tick() -> None:
            while True:
                now = time.perf_counter()
                done = now - began
                if pace.requests is not None:
                    done = max(done, tally.requests / pace.requests * pace.seconds)
                progress.update(task, completed=done, description=_last_words(tally, now))
                await asyncio.sleep(_TICK_SECONDS)

        ticking = asyncio.create_task(tick())
        try:
            yield
        finally:
            ticking.cancel()
            await asyncio.gather(ticking, return_exceptions=True)


def _last_words(tally: Tally, now: float) -> str:
    if now < tally.began or not tally.requests:
        return "warming up" if now < tally.began else "waiting for the first answer"
    step, seconds = tally.timeline.recent(now - tally.began, _RECENT_SECONDS)
    latency = step.latency
    words = f"{latency.count / seconds:,.0f}/s"
    if latency.count:
        words += f"  p50 {_time(latency.percentile(0.5))}  p99 {_time(latency.percentile(0.99))}"
    return words + (f"  {tally.failed} failed" if tally.failed else "")


def show(console: Console, result: LoadResult) -> None:
    """All that was found."""
    tally, subject, pace = result.tally, result.subject, result.pace
    say(console, f"{subject.model} at {subject.url}, {subject.protocol}, {loop_words(pace)}", "bold")
    table = _pairs()
    table.add_row("requests", f"{tally.requests:,} in {tally.seconds:.1f} s" + _early(result))
    table.add_row("good answers a second", f"{result.rate:,.1f}")
    table.add_row("failed", f"{tally.failed:,} ({result.error_rate:.2%})")
    for name, value in result.latencies_ms().items():
        table.add_row(f"latency {name}", "-" if value is None else _time(value / 1000))
    if pace.rate is not None and tally.lateness.count:
        table.add_row("left late, p99", _time(tally.lateness.percentile(0.99)))
    for name, milliseconds in result.timings_ms().items():
        table.add_row(f"server-timing {name}, median", _time(milliseconds / 1000))
    for title, counts in (("x-cache", tally.cache), ("version", tally.versions)):
        for said, count in counts.items():
            table.add_row(f"{title} {escape(said)}", f"{count:,}")
    table.add_row("sent, received", f"{decimal(tally.sent_bytes)}, {decimal(tally.received_bytes)}")
    console.print(table)
    if result.cached_share > _CACHED_SHARE:
        share = f"{result.cached_share:.0%} of the answers came from the result cache"
        say(console, f"{share}; --no-cache leaves it out", "yellow")
    if tally.errors:
        errors = Table("error", "count", "the first one", box=box.SIMPLE)
        for kind, error in tally.errors.items():
            errors.add_row(escape(kind), f"{error.count:,}", escape(error.example))
        console.print(errors)


def loop_words(pace: Pace) -> str:
    """How the load was made, in a few words."""
    if pace.rate is None:
        return f"closed loop, {pace.connections} connections"
    return f"open loop, {pace.rate:g} requests a second, at most {pace.connections} connections"


def _early(result: LoadResult) -> str:
    return ", stopped early" if result.stopped_early else ""


def _pairs() -> Table:
    return Table(Column(no_wrap=True), Column(justify="right"), show_header=False, box=box.SIMPLE)


def _time(seconds: float) -> str:
    if seconds < 1:
        return f"{seconds * 1000:.2f} ms"
    return f"{seconds:.2f} s"

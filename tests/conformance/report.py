"""Outcomes as tables: on the terminal, and in docs/protocol.md."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.conformance.casebook import FAIL, NOT_ASKED, NOT_SUPPORTED, PASS, Outcome, Result
from tests.conformance.clients import CLIENTS

BEGIN = "<!-- tables of the conformance suite: begin -->"
END = "<!-- tables of the conformance suite: end -->"
# What a server was not asked says nothing of it, so it shows where nothing else was asked.
_WORST_FIRST: tuple[Result, ...] = (FAIL, NOT_SUPPORTED, PASS, NOT_ASKED)
_COLOURS = {PASS: "green", FAIL: "bold red", NOT_SUPPORTED: "yellow", NOT_ASKED: "dim"}


def result_of(outcomes: Iterable[Outcome]) -> Result | None:
    """What a call came to: the worst of its cases, None without a case."""
    found = {outcome.result for outcome in outcomes}
    return next((result for result in _WORST_FIRST if result in found), None)


def print_table(outcomes: Sequence[Outcome], console: Console) -> None:
    """A table for each family of clients, then every case that failed or was not asked, and why."""
    for family, titles in _families(outcomes).items():
        table = Table(title=family)
        table.add_column("call", no_wrap=True)
        for title in titles.values():
            table.add_column(title)
        for call in _calls(outcomes, titles):
            table.add_row(call, *(_coloured(_cell(outcomes, client, call)) for client in titles))
        console.print(table)
    for outcome in outcomes:
        if outcome.result == FAIL:
            console.print(f"[bold red]{outcome.client}[/] {outcome.call}: {outcome.says}", highlight=False)
            console.print(f"    {outcome.detail}", markup=False, highlight=False)
        elif outcome.result == NOT_ASKED:
            console.print(f"not asked: {outcome.client} {outcome.call}: {outcome.detail}", highlight=False)
    counts = {result: sum(outcome.result == result for outcome in outcomes) for result in _COLOURS}
    console.print(", ".join(f"{count} {result}" for result, count in counts.items() if count))


def markdown(outcomes: Sequence[Outcome]) -> str:
    """The tables, and what each call was asked; no times, so that the same results are the same text."""
    parts = []
    for family, titles in _families(outcomes).items():
        calls = _calls(outcomes, titles)
        head = f"| {family} | {' | '.join(titles.values())} |"
        rows = [
            f"| `{call}` | {' | '.join(_cell(outcomes, client, call) or '' for client in titles)} |"
            for call in calls
        ]
        parts.append("\n".join((head, "|---" * (len(titles) + 1) + "|", *rows)))
        parts.append("\n".join(_asked(outcomes, call, titles) for call in calls))
    return "\n\n".join(parts)


def written(document: str, outcomes: Sequence[Outcome]) -> str:
    """The document with its tables replaced. Raises ValueError where their place is not marked."""
    before, begin, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the document has no lines '{BEGIN}' and '{END}'")
    return f"{before}{BEGIN}\n{markdown(outcomes)}\n{END}{after}"


def write_tables(path: Path, outcomes: Sequence[Outcome]) -> None:
    path.write_text(written(path.read_text("utf-8"), outcomes), "utf-8")


def _families(outcomes: Sequence[Outcome]) -> dict[str, dict[str, str]]:
    """Family -> client -> title, of the clients that were asked."""
    asked = {outcome.client for outcome in outcomes}
    families: dict[str, dict[str, str]] = {}
    for client in CLIENTS.values():
        if client.name in asked:
            families.setdefault(client.family, {})[client.name] = client.title
    return families


def _calls(outcomes: Sequence[Outcome], clients: Iterable[str]) -> list[str]:
    wanted = set(clients)
    return list(dict.fromkeys(outcome.call for outcome in outcomes if outcome.client in wanted))


def _cell(outcomes: Sequence[Outcome], client: str, call: str) -> Result | None:
    return result_of(o for o in outcomes if (o.client, o.call) == (client, call))


def _coloured(result: Result | None) -> str:
    return f"[{_COLOURS[result]}]{result}[/]" if result else ""


def _asked(outcomes: Sequence[Outcome], call: str, titles: dict[str, str]) -> str:
    """A line that says what the call was asked, answered first, then refused."""
    having = {o.client for o in outcomes if o.call == call} & set(titles)
    parts = []
    for fails, word in ((False, "answered"), (True, "refused")):
        said: dict[str, list[str]] = {}
        for outcome in outcomes:
            if (outcome.call, outcome.fails) == (call, fails) and outcome.client in titles:
                said.setdefault(outcome.says, []).append(outcome.client)
        if said:
            cases = "; ".join(_case(says, clients, having, titles) for says, clients in said.items())
            parts.append(f"*{word}*: {cases}.")
    return f"- `{call}` {' '.join(parts)}"


def _case(says: str, clients: list[str], having: set[str], titles: dict[str, str]) -> str:
    if set(clients) == having:
        return says
    return f"{says} ({', '.join(titles[client] for client in clients)})"

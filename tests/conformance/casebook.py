"""Cases: what is asked of one call of a client, and what has to come of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Literal

Run = Callable[[Any], Awaitable[None]]
Result = Literal["pass", "fail", "not supported", "not asked"]

PASS: Result = "pass"
FAIL: Result = "fail"
NOT_SUPPORTED: Result = "not supported"
NOT_ASKED: Result = "not asked"


class NotSupportedError(Exception):
    """The server says that it has no such thing. Only calls that may say so may raise it."""


class NotAskedError(Exception):
    """The case asks for something that this server was not given, a model for example."""


@dataclass(frozen=True, slots=True)
class Case:
    """`fails`: the call is meant to be refused, and the client has to understand the refusal.
    `clients` is empty where all clients of the book are asked."""

    call: str
    says: str
    fails: bool
    run: Run
    clients: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a case; `detail` says why where it did not pass."""

    client: str
    call: str
    says: str
    fails: bool
    result: Result
    detail: str = ""


class CaseBook:
    """The cases of a family of clients, in the order in which they are written."""

    def __init__(self, *cases: Case) -> None:
        self._cases = list(cases)

    def __add__(self, other: CaseBook) -> CaseBook:
        """The cases of both."""
        return CaseBook(*self._cases, *other._cases)

    def works(self, call: str, says: str, *clients: str) -> Callable[[Run], Run]:
        """Marks a case in which the call has to succeed, for `clients` or for all."""
        return self._keeper(call, says, False, clients)

    def fails(self, call: str, says: str, *clients: str) -> Callable[[Run], Run]:
        """Marks a case in which the call has to fail in a way that the client can read."""
        return self._keeper(call, says, True, clients)

    def of(self, client: str) -> list[Case]:
        """The cases of one client."""
        return [case for case in self._cases if not case.clients or client in case.clients]

    def _keeper(self, call: str, says: str, fails: bool, clients: tuple[str, ...]) -> Callable[[Run], Run]:
        def keep(run: Run) -> Run:
            self._cases.append(Case(call, says, fails, run, clients))
            return run

        return keep

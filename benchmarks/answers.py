"""Whole answers of a server against the oracle's, before any load."""

from __future__ import annotations

import math
import socket
import time
from collections.abc import Sequence
from typing import Any

import orjson

from benchmarks.exchanges import Exchange, Exchanges
from benchmarks.load.closed_loop import WrongAnswerError
from trireme_cli.loadtest.http import Response, ResponseParser

_CHECKED = 32
_SECONDS = 30.0
_FILLS, _FILL_SECONDS = 40, 0.05
# Sums of a batch are rounded in another order than those of one item.
_RTOL, _ATOL = 1e-4, 1e-5


def check_answers(port: int, exchanges: Exchanges) -> None:
    """Label and every probability of the first requests, and whether the cache answered them.

    Where the cache is to answer, everything is asked until it does.
    Raises WrongAnswerError, ProtocolError or OSError.
    """
    with socket.create_connection(("127.0.0.1", port), timeout=_SECONDS) as connection:
        if exchanges.cache == "hit":
            _fill_cache(connection, exchanges)
        for exchange in exchanges.exchanges[:_CHECKED]:
            response = _ask(connection, exchange.request)
            check_answer(response, exchange, exchanges.path, exchanges.cache, exchanges.shares)


def is_answered(port: int, request: bytes) -> bool:
    """Whether a server on `port` answers `request` with status 200. Raises OSError where none listens."""
    with socket.create_connection(("127.0.0.1", port), timeout=_SECONDS) as connection:
        connection.sendall(request)
        return connection.recv(65536).startswith(b"HTTP/1.1 200")


def _fill_cache(connection: socket.socket, exchanges: Exchanges) -> None:
    """Entries reach Redis a little after their answer has left, so each is asked for again."""
    waiting = [exchange.request for exchange in exchanges.exchanges]
    for _ in range(_FILLS):
        waiting = [request for request in waiting if _ask(connection, request).header("x-cache") != "hit"]
        if not waiting:
            return
        time.sleep(_FILL_SECONDS)
    raise WrongAnswerError(f"the cache does not keep {len(waiting)} of the answers")


def _ask(connection: socket.socket, request: bytes) -> Response:
    connection.sendall(request)
    parser = ResponseParser(strict=True)
    while True:
        data = connection.recv(65536)
        if not data:
            raise WrongAnswerError("the server closed the connection instead of answering")
        response = parser.feed(data)
        if response is not None:
            return response


def check_answer(
    response: Response,
    exchange: Exchange,
    path: Sequence[str | int],
    cache: str = "off",
    shares: Sequence[str | int] | None = None,
) -> None:
    """Raises WrongAnswerError saying what is not as the oracle has it."""
    if response.status != 200:
        raise WrongAnswerError(f"status {response.status}: {response.body[:300]!r}")
    # One after the other, nothing is under way that a request could join.
    if cache != "coalesced" and (response.header("x-cache") or "off") != cache:
        raise WrongAnswerError(f"x-cache was to be {cache}, but says {response.header('x-cache')!r}")
    whole = orjson.loads(response.body)
    given = _at(whole, path)
    if given != exchange.expected:
        raise WrongAnswerError(f"{given!r}, but the oracle says {exchange.expected!r}")
    wanted = exchange.probabilities
    if wanted is not None:
        found = _at(whole, shares or (*path[:-1], "probabilities"))
        _compare(dict(zip(wanted, found, strict=False)) if isinstance(found, list) else found, wanted)


def _at(answer: Any, path: Sequence[str | int]) -> Any:
    """What `path` leads to. Raises WrongAnswerError where it leads nowhere."""
    value = answer
    try:
        for key in path:
            value = value[key]
    except (LookupError, TypeError) as error:
        raise WrongAnswerError(f"{error!r} in {answer!r:.300}") from error
    return value


def _compare(given: dict[str, float], wanted: dict[str, float]) -> None:
    if given.keys() != wanted.keys():
        raise WrongAnswerError(f"labels {sorted(given)}, but the oracle has {sorted(wanted)}")
    for label, probability in wanted.items():
        if not math.isclose(given[label], probability, rel_tol=_RTOL, abs_tol=_ATOL):
            raise WrongAnswerError(f"{label}: {given[label]}, but the oracle says {probability}")

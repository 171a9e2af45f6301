"""Whole answers of a server against the oracle's, before any load."""

from __future__ import annotations

import math
import socket
from collections.abc import Sequence
from typing import Any

import orjson

from benchmarks.exchanges import Exchange, Exchanges
from benchmarks.load.closed_loop import WrongAnswerError
from benchmarks.load.http import Response, ResponseParser

_CHECKED = 32
_SECONDS = 30.0
# Sums of a batch are rounded in another order than those of one item.
_RTOL, _ATOL = 1e-4, 1e-5


def check_answers(port: int, exchanges: Exchanges) -> None:
    """Label and every probability of the first requests, and that no cache answered them.

    Raises WrongAnswerError, ProtocolError or OSError.
    """
    with socket.create_connection(("127.0.0.1", port), timeout=_SECONDS) as connection:
        for exchange in exchanges.exchanges[:_CHECKED]:
            check_answer(_ask(connection, exchange.request), exchange, exchanges.path)


def _ask(connection: socket.socket, request: bytes) -> Response:
    connection.sendall(request)
    parser = ResponseParser()
    while True:
        data = connection.recv(65536)
        if not data:
            raise WrongAnswerError("the server closed the connection instead of answering")
        response = parser.feed(data)
        if response is not None:
            return response


def check_answer(response: Response, exchange: Exchange, path: Sequence[str | int]) -> None:
    """Raises WrongAnswerError saying what is not as the oracle has it."""
    if response.status != 200:
        raise WrongAnswerError(f"status {response.status}: {response.body[:300]!r}")
    if response.header("x-cache") not in (None, "off"):
        raise WrongAnswerError(f"the cache was to be off, x-cache says {response.header('x-cache')!r}")
    answer: Any = orjson.loads(response.body)
    for key in path[:-1]:
        answer = answer[key]
    if answer[path[-1]] != exchange.expected:
        raise WrongAnswerError(f"{answer[path[-1]]!r}, but the oracle says {exchange.expected!r}")
    if exchange.probabilities is not None:
        _compare(answer["probabilities"], exchange.probabilities)


def _compare(given: dict[str, float], wanted: dict[str, float]) -> None:
    if given.keys() != wanted.keys():
        raise WrongAnswerError(f"labels {sorted(given)}, but the oracle has {sorted(wanted)}")
    for label, probability in wanted.items():
        if not math.isclose(given[label], probability, rel_tol=_RTOL, abs_tol=_ATOL):
            raise WrongAnswerError(f"{label}: {given[label]}, but the oracle says {probability}")

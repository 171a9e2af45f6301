"""What the sync and the async client have in common: all but the waiting."""

from __future__ import annotations

import ipaddress
import random
import re
import time
import uuid
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import httpx

from trireme_client.answers import served_of
from trireme_client.batches import Lines
from trireme_client.calls import Call
from trireme_client.errors import ConnectionLost, TriremeError, Unreachable
from trireme_client.reply import Reply
from trireme_client.retries import Attempts, Clock, Random, Retries, RetryBudget

DEFAULT_URL = "http://127.0.0.1:8080"
_PASSWORD = re.compile(r"\A((?:[^:/?#@]++://)?+[^:@]*+):.*@", re.DOTALL)
CONNECT_SECONDS = 5.0
"""Time that one try to connect may take; a machine that does not answer at all is not waited for longer."""


class Core:
    """Address, headers, time and retries of one client."""

    def __init__(
        self,
        url: str,
        api_key: str | None,
        headers: Mapping[str, str] | None,
        timeout_seconds: float,
        retries: Retries,
        clock: Clock = time.monotonic,
        random: Random = random.random,
    ) -> None:
        """Raises ValueError for what is no http(s) address, or a time that is not positive."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{_shown(url)!r} is no address; one looks like {DEFAULT_URL}")
        self.url = url.rstrip("/")
        # A proxy of the environment does not know the way to this very machine.
        self.trust_env = not _is_loopback(parts.hostname)
        self._timeout_seconds = _positive(timeout_seconds)
        self._headers = {name.lower(): value for name, value in (headers or {}).items()}
        if api_key is not None:
            self._headers["authorization"] = f"Bearer {api_key}"
        self._retries = retries
        self._budget = RetryBudget(retries.share, retries.reserve)
        self._clock, self._random = clock, random

    def begin(self, timeout: float | None, request_id: str | None) -> Attempts:
        """The tries of a new call. Raises ValueError for a time that is not positive."""
        seconds = self._timeout_seconds if timeout is None else _positive(timeout)
        return Attempts(
            self._retries, self._budget, seconds, request_id or uuid.uuid4().hex, self._clock, self._random
        )

    def request(self, call: Call[Any], attempts: Attempts) -> dict[str, Any]:
        """Arguments of httpx for one try. Raises DeadlineExceeded where the call's time is up."""
        left = attempts.remaining()
        headers = {
            **self._headers,
            **call.headers,
            "x-request-id": attempts.request_id,
            "x-request-timeout-ms": str(max(1, int(left * 1000))),
        }
        return {
            "method": call.method,
            "url": f"{self.url}{call.path}",
            "params": call.params or None,
            "headers": headers,
            "content": call.content,
            "timeout": httpx.Timeout(left, connect=min(left, CONNECT_SECONDS)),
        }

    def failure(self, error: Exception, attempts: Attempts) -> TriremeError:
        """What an exception of the HTTP client means."""
        request_id, url = attempts.request_id, _shown(self.url)
        if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
            return Unreachable(f"nothing answers at {url}: {_reason(error)}", request_id=request_id)
        if isinstance(error, TimeoutError | httpx.TimeoutException):
            return attempts.late()
        return ConnectionLost(f"the connection to {url} broke: {_reason(error)}", request_id=request_id)


def reply_of(response: httpx.Response, content: bytes) -> Reply:
    """`content` is read by the caller, so that time can be watched over it."""
    return Reply(response.status_code, response.headers, content)


def lines_of(response: httpx.Response, texts: list[str], model: str | None) -> Lines:
    """The reader of a batch's answer."""
    return Lines(texts, served_of(reply_of(response, b""), {"model": model or ""}))


def _shown(url: str) -> str:
    """The URL without its password; up to the last `@`, because it may hold signs that it should not."""
    return _PASSWORD.sub(r"\1:***@", url, count=1)


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__


def _positive(seconds: float) -> float:
    if not seconds > 0:
        raise ValueError(f"a time must be positive, not {seconds}")
    return seconds


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"

"""A running platform over HTTP, with failures that say what to do."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote, urlsplit

import httpx

from trireme_cli.failure import Failure, UsageFailure
from trireme_cli.up.ports import is_loopback
from trireme_common.shown_url import shown_url

DEFAULT_URL = "http://127.0.0.1:8080"


class TimedOut(Failure):
    """The platform is there, but took longer than the caller wanted to wait."""


class PlatformClient:
    """Calls to one gateway. Raises Failure where the platform cannot be reached or knows no such model."""

    def __init__(self, url: str, client: httpx.AsyncClient) -> None:
        self._base = url
        self.url = shown_url(url)
        """For people to see."""
        self._client = client

    async def models(self) -> list[str]:
        """Names of the models that are served."""
        return [str(name) for name in (await self._document("/v1/models"))["models"]]

    async def model(self, name: str) -> dict[str, Any]:
        """`name`, `ready`, `versions`, `task` of one model."""
        response = await self.request("GET", f"/v1/models/{quote(name, safe='')}")
        if response.status_code == httpx.codes.NOT_FOUND:
            raise Failure(await self._unknown(name))
        return self._parsed(response)

    async def health(self) -> dict[str, Any]:
        """The answer of /health."""
        return await self._document("/health")

    async def index(self) -> list[dict[str, Any]]:
        """`name`, `version`, `state`, `reason` of every version of every model."""
        entries: Any = self._parsed(await self.request("POST", "/v2/repository/index", json={}))
        return entries if isinstance(entries, list) else []

    async def request(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        """One call, whatever its status. Raises Failure if nothing answers."""
        try:
            return await self._client.request(method, f"{self._base}{path}", **arguments)
        except httpx.TimeoutException as error:
            raise TimedOut(f"{self.url} did not answer in time; --timeout SECONDS waits longer") from error
        except httpx.ConnectError as error:
            raise Failure(nothing_listens(self.url)) from error
        except httpx.HTTPError as error:
            raise Failure(f"the connection to {self.url} broke: {error or type(error).__name__}") from error

    async def _document(self, path: str) -> dict[str, Any]:
        return self._parsed(await self.request("GET", path))

    def _parsed(self, response: httpx.Response) -> dict[str, Any]:
        if not response.is_success:
            problem = problem_of(response)
            raise Failure(f"{self.url} answered {response.status_code}: {problem['detail']}")
        try:
            document: dict[str, Any] = response.json()
        except ValueError as error:
            raise Failure(
                f"what listens at {self.url} is no Trireme gateway: its answer is no JSON"
            ) from error
        return document

    async def _unknown(self, name: str) -> str:
        try:
            served = await self.models()
        except (Failure, KeyError):
            return f"what listens at {self.url} is no Trireme gateway, or is another version of it"
        if not served:
            return f"no model {name!r} at {self.url}; it serves no model yet"
        return f"no model {name!r} at {self.url}; it serves: {', '.join(sorted(served))}"


@asynccontextmanager
async def connect(url: str, timeout_seconds: float, connections: int = 8) -> AsyncIterator[PlatformClient]:
    """A client for the gateway at `url`. Raises UsageFailure for what is no address."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageFailure(f"--url: {shown_url(url)!r} is no address; give one like {DEFAULT_URL}")
    limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections)
    # A proxy of the environment does not know the way to this very machine.
    trust = not is_loopback(parts.hostname)
    async with httpx.AsyncClient(timeout=timeout_seconds, limits=limits, trust_env=trust) as client:
        yield PlatformClient(url.rstrip("/"), client)


def problem_of(response: httpx.Response) -> dict[str, str]:
    """`code` and `detail` of an answer that is an error, whatever its shape."""
    fallback = f"HTTP status {response.status_code} {response.reason_phrase}"
    try:
        body = response.json()
    except ValueError:
        return {"code": f"http_{response.status_code}", "detail": fallback}
    if not isinstance(body, dict):
        return {"code": f"http_{response.status_code}", "detail": fallback}
    code = body.get("code") or f"http_{response.status_code}"
    detail = body.get("detail") or body.get("title") or body.get("error") or fallback
    return {"code": str(code), "detail": str(detail)}


def nothing_listens(url: str) -> str:
    return f"nothing listens at {url}.\nStart it with `trireme up`, or name a running one with --url URL."

from __future__ import annotations

import re
import time

import httpx
import pytest
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send
from structlog.testing import capture_logs

from trireme_gateway.context import RequestContext
from trireme_gateway.draining import Draining
from trireme_gateway.metrics import ACTIVE_REQUESTS, REQUESTS
from trireme_gateway.middleware import AccessLog, RequestMiddleware


class App:
    """An application that shows its context, or fails as a test says."""

    def __init__(self) -> None:
        self.context: RequestContext | None = None
        self.fail_before = False
        self.fail_after = False
        self.leave = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        context = self.context = scope["trireme.context"]
        assert ACTIVE_REQUESTS.collect()[0].samples[0].value >= 1
        if self.leave:
            return
        if self.fail_before:
            raise RuntimeError("canary")
        context.endpoint = "/toy"
        context.spend("preprocess", 0.0015)
        context.spend("inference", 0.25)
        context.version, context.cache = "3", "hit"
        context.confidence, context.items = 0.5, 2
        await PlainTextResponse("well")(scope, receive, send)
        if self.fail_after:
            raise RuntimeError("canary")


def client(app: App, draining: Draining | None = None) -> httpx.AsyncClient:
    wrapped = RequestMiddleware(
        app, timeout_seconds=5, access_log=AccessLog(), draining=(draining or Draining()).closing
    )
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=wrapped), base_url="http://gateway")


async def test_every_answer_bears_the_headers() -> None:
    async with client(App()) as http:
        response = await http.get("/toy")
    assert re.fullmatch("[0-9a-f]{32}", response.headers["x-request-id"])
    assert re.fullmatch(
        r"preprocess;dur=1\.500, inference;dur=250\.000, total;dur=[\d.]+", response.headers["server-timing"]
    )
    assert response.headers["x-model-version"] == "3"
    assert response.headers["x-cache"] == "hit"
    assert "connection" not in response.headers


class StaleApp(App):
    """Answers out of the cache, half a second past the answer's time."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["trireme.context"].stale_seconds = 0.5
        await super().__call__(scope, receive, send)


async def test_a_stale_answer_says_so() -> None:
    async with client(App()) as http:
        assert "cache-status" not in (await http.get("/toy")).headers
    async with client(StaleApp()) as http:
        assert (await http.get("/toy")).headers["cache-status"] == "trireme; hit; ttl=-1"


async def test_what_the_caller_says_of_the_cache_is_handed_on_whole() -> None:
    app = App()
    async with client(app) as http:
        await http.get("/")
        assert app.context is not None
        assert app.context.cache_control == ""
        await http.get("/", headers=[("cache-control", "max-age=5"), ("Cache-Control", "no-store")])
        assert app.context.cache_control == "max-age=5,no-store"


@pytest.mark.parametrize("given", ["abc-123", "x" * 128, "~!"])
async def test_a_request_id_is_taken_over(given: str) -> None:
    app = App()
    async with client(app) as http:
        response = await http.get("/", headers={"x-request-id": given})
    assert response.headers["x-request-id"] == given
    assert app.context is not None
    assert app.context.request_id == given


@pytest.mark.parametrize("given", ["", "x" * 129, "two words", "é".encode("latin-1"), b"a\tb"])
async def test_a_request_id_that_could_do_harm_is_replaced(given: str | bytes) -> None:
    async with client(App()) as http:
        response = await http.get(
            "/", headers={b"x-request-id": given if isinstance(given, bytes) else given.encode()}
        )
    assert re.fullmatch("[0-9a-f]{32}", response.headers["x-request-id"])


@pytest.mark.parametrize(
    ("given", "seconds"),
    [("250", 0.25), ("0", 0), ("9999999", 5), ("-1", 5), ("1e3", 5), ("٣", 5), ("9" * 40, 5)],
)
async def test_a_caller_may_ask_for_less_time(given: str, seconds: float) -> None:
    app = App()
    async with client(app) as http:
        await http.get("/", headers={b"x-request-timeout-ms": given.encode()})
    assert app.context is not None
    assert app.context.deadline - app.context.started == pytest.approx(seconds)
    assert app.context.started <= time.monotonic()


async def test_one_line_and_one_count_a_request() -> None:
    with capture_logs() as logs:
        async with client(App()) as http:
            before = REQUESTS.labels("/toy", "200").collect()[0].samples[0].value
            await http.get("/raw-path?secret=canary", headers={"x-request-id": "r1"})
    (line,) = (entry for entry in logs if entry["event"] == "request")
    assert line["endpoint"] == "/toy"
    assert (line["status"], line["request_id"], line["confidence"], line["items"]) == ("200", "r1", 0.5, 2)
    assert line["latency_ms"] >= 0
    assert "canary" not in str(logs)
    assert "raw-path" not in str(logs)
    assert REQUESTS.labels("/toy", "200").collect()[0].samples[0].value == before + 1


async def test_a_fault_gives_the_id_and_nothing_else() -> None:
    app = App()
    app.fail_before = True
    with capture_logs() as logs:
        async with client(app) as http:
            response = await http.get("/x", headers={"x-request-id": "r1"})
            protocol = await http.get("/v2/x")
    assert response.status_code == 500
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert (problem["code"], problem["request_id"]) == ("internal", "r1")
    assert "canary" not in response.text
    assert list(protocol.json()) == ["error"]
    assert [entry["event"] for entry in logs if entry["log_level"] == "error"] == ["request_failed"] * 2


async def test_a_fault_after_the_answer_began_changes_nothing() -> None:
    app = App()
    app.fail_after = True
    async with client(app) as http:
        assert (await http.get("/x")).status_code == 200
    assert ACTIVE_REQUESTS.collect()[0].samples[0].value == 0


async def test_a_request_without_an_answer_counts_as_left() -> None:
    app = App()
    app.leave = True
    wrapped = RequestMiddleware(app, timeout_seconds=5, access_log=AccessLog(), draining=Draining().closing)
    scope = {"type": "http", "method": "GET", "path": "/", "headers": []}

    async def receive() -> dict[str, object]:
        return {"type": "http.disconnect"}

    async def send(_: object) -> None:
        raise AssertionError("nothing is sent")

    with capture_logs() as logs:
        await wrapped(scope, receive, send)
    assert [entry["status"] for entry in logs] == ["499"]


async def test_a_draining_gateway_asks_for_another_connection() -> None:
    draining = Draining()
    draining.begun = True
    async with client(App(), draining) as http:
        assert (await http.get("/")).headers["connection"] == "close"

"""Both clients over real sockets: what they ask, retry and give up."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.support.failing_server import Act, answer, failing_server
from trireme_client import (
    AsyncClient,
    BadRequest,
    Client,
    ConnectionLost,
    DeadlineExceeded,
    FailedItem,
    NotFound,
    Retries,
    Unavailable,
    UnexpectedAnswer,
    Unreachable,
)

Ask = Callable[..., Any]

LABEL = {"label": "x", "confidence": 0.75, "probabilities": {"x": 0.75, "y": 0.25}}
GOOD = answer(
    200,
    {"results": [{"text": "a", **LABEL}], "inference_time": 0.01, "model": "m", "version": "1"},
    x_request_id="r1",
    x_model_version="1",
    x_cache="miss",
)
BUSY = answer(503, {"code": "overloaded", "detail": "full"}, retry_after="0.01")
QUICK = Retries(first_pause_seconds=0.01)


def ask_sync(url: str, question: Callable[[Any], Any], **options: Any) -> Any:
    with Client(url, **{"retries": QUICK, **options}) as client:
        return question(client)


def ask_async(url: str, question: Callable[[Any], Any], **options: Any) -> Any:
    async def run() -> Any:
        async with AsyncClient(url, **{"retries": QUICK, **options}) as client:
            return await question(client)

    return asyncio.run(run())


@pytest.fixture(params=[ask_sync, ask_async], ids=["sync", "async"])
def ask(request: pytest.FixtureRequest) -> Ask:
    found: Ask = request.param
    return found


def predict(client: Any) -> Any:
    return client.predict("a")


def test_an_answer_and_what_was_asked(ask: Ask) -> None:
    with failing_server(GOOD) as server:
        found = ask(server.url + "/", predict, api_key="k", headers={"X-Tenant": "t"}, timeout=20)
        (asked,) = server.asked
    assert (found.label, found.confidence, found.text) == ("x", 0.75, "a")
    served = found.served
    assert (served.model, served.version, served.request_id, served.cache) == ("m", "1", "r1", "miss")
    assert served.inference_seconds == 0.01
    assert asked.line == "POST /predict HTTP/1.1"
    assert asked.body == b'{"texts": ["a"]}'
    assert asked.headers["authorization"] == "Bearer k"
    assert asked.headers["x-tenant"] == "t"
    assert 1 <= int(asked.headers["x-request-timeout-ms"]) <= 20_000
    assert asked.headers["x-request-id"]


def test_a_refusal_is_tried_again_with_the_same_id_and_less_time(ask: Ask) -> None:
    with failing_server(BUSY, BUSY, GOOD) as server:
        found = ask(server.url, lambda client: client.predict("a", request_id="mine", timeout=20))
        asked = server.asked
    assert found.label == "x"
    assert [request.headers["x-request-id"] for request in asked] == ["mine"] * 3
    left = [int(request.headers["x-request-timeout-ms"]) for request in asked]
    assert left[0] > left[1] > left[2]


def test_a_refusal_that_lasts_is_raised_after_the_last_try(ask: Ask) -> None:
    with failing_server(BUSY) as server:
        with pytest.raises(Unavailable) as caught:
            ask(server.url, predict)
        assert len(server.asked) == QUICK.attempts
    assert (caught.value.code, caught.value.status, caught.value.detail) == ("overloaded", 503, "full")


def test_a_wait_beyond_the_calls_time_is_not_begun(ask: Ask) -> None:
    with failing_server(answer(503, {}, retry_after="60")) as server:
        with pytest.raises(Unavailable):
            ask(server.url, lambda client: client.predict("a", timeout=5))
        assert len(server.asked) == 1


def test_calls_of_a_client_share_the_budget(ask: Ask) -> None:
    async def many_async(client: AsyncClient) -> None:
        for _ in range(5):
            with pytest.raises(Unavailable):
                await client.predict("a")

    def many(client: Any) -> Any:
        if isinstance(client, AsyncClient):
            return many_async(client)
        for _ in range(5):
            with pytest.raises(Unavailable):
                client.predict("a")
        return None

    with failing_server(BUSY) as server:
        ask(server.url, many, retries=Retries(share=0, reserve=2, first_pause_seconds=0.01))
        assert len(server.asked) == 5 + 2


@pytest.mark.parametrize(
    ("act", "kind"),
    [
        (answer(400, {"code": "invalid_argument", "detail": "wrong"}), BadRequest),
        (answer(404, {"code": "model_not_found", "detail": "unknown"}), NotFound),
        (answer(504, {"code": "deadline_exceeded", "detail": "late"}), DeadlineExceeded),
        (answer(200, b"<html>"), UnexpectedAnswer),
        (answer(200, {"results": []}), UnexpectedAnswer),
        (answer(200, {"results": [{"embedding": [1.0]}]}), UnexpectedAnswer),
        (Act(reset=True), ConnectionLost),
        (Act(b"HTTP/1.1 200 x\r\ncontent-length: 100\r\n\r\n{"), ConnectionLost),
        (Act(b"HTTP/1.1 200 x\r\ncontent-length: 100\r\n\r\n{", reset=True), ConnectionLost),
    ],
)
def test_other_failures_are_not_tried_again(ask: Ask, act: Act, kind: type[Exception]) -> None:
    with failing_server(act) as server:
        with pytest.raises(kind):
            ask(server.url, predict)
        assert len(server.asked) == 1


@pytest.mark.parametrize(
    "act",
    [
        Act(held=True),
        Act(b"HTTP/1.1 200 x\r\ncontent-length: 100000\r\n\r\n", held=True),
        Act(b"HTTP/1.1 200 x\r\ncontent-length: 100000\r\n\r\n", drip=True),
    ],
    ids=["silent", "stopped", "dripping"],
)
def test_a_server_that_takes_too_long_is_given_up(ask: Ask, act: Act) -> None:
    with failing_server(act) as server:
        with pytest.raises(DeadlineExceeded) as caught:
            ask(server.url, lambda client: client.predict("a", timeout=0.2, request_id="mine"))
        assert len(server.asked) == 1
    assert caught.value.request_id == "mine"


def test_an_address_where_nothing_listens(ask: Ask) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(Unreachable, match=f"127.0.0.1:{port}"):
        ask(f"http://127.0.0.1:{port}", predict)


@pytest.mark.parametrize("url", ["http://user:hunter2@127.0.0.1:{port}", "ftp://user:hunter2@a:{port}"])
def test_a_password_in_the_address_is_not_shown(ask: Ask, url: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises((Unreachable, ValueError), match=r"//user:\*\*\*@") as failed:
        ask(url.format(port=port), predict)
    assert "hunter2" not in str(failed.value)


@pytest.mark.parametrize("url", ["127.0.0.1:8080", "ftp://a", "http://", ""])
def test_what_is_no_address(ask: Ask, url: str) -> None:
    with pytest.raises(ValueError, match="no address"):
        ask(url, predict)


def test_a_time_is_positive(ask: Ask) -> None:
    with pytest.raises(ValueError, match="positive"):
        ask("http://a", predict, timeout=0)
    with pytest.raises(ValueError, match="positive"):
        ask("http://a", lambda client: client.predict("a", timeout=-1))


def test_readiness_is_an_answer_and_no_failure(ask: Ask) -> None:
    with failing_server(answer(503, {"ready": False}), answer(200, {"ready": True})) as server:
        assert ask(server.url, lambda client: client.ready()) is False
        assert ask(server.url, lambda client: client.ready()) is True
        assert len(server.asked) == 2


def test_all_items_failed_are_values_of_a_list_and_the_failure_of_one(ask: Ask) -> None:
    blank = {"text": " ", "error": {"code": "blank_text", "detail": "blank"}}
    with failing_server(answer(400, {"results": [blank]})) as server:
        assert ask(server.url, lambda client: client.predict([" "])) == [
            FailedItem(code="blank_text", detail="blank", text=" ")
        ]
        with pytest.raises(BadRequest) as caught:
            ask(server.url, lambda client: client.predict(" "))
    assert caught.value.code == "blank_text"


def collect(texts: Any) -> Callable[[Any], Any]:
    async def gathered(client: AsyncClient) -> list[Any]:
        return [item async for item in client.batch(texts)]

    def run(client: Any) -> Any:
        return gathered(client) if isinstance(client, AsyncClient) else list(client.batch(texts))

    return run


def lines(*found: bytes) -> Act:
    return answer(200, b"".join(line + b"\n" for line in found), x_model_version="3")


LINE = b'{"index":0,"text":"a","label":"x","confidence":0.75,"probabilities":{"x":0.75,"y":0.25}}'
TOTALS = b'{"total_count":1,"failed":0,"inference_time":0.1}'


def test_a_batch_is_tried_again_before_its_first_line(ask: Ask) -> None:
    with failing_server(BUSY, lines(LINE, TOTALS)) as server:
        (found,) = ask(server.url, collect(iter(["a"])))
        assert len(server.asked) == 2
    assert (found.label, found.text, found.served.version) == ("x", "a", "3")


@pytest.mark.parametrize("act", [lines(LINE), lines(), lines(TOTALS)])
def test_a_batch_that_is_cut_is_no_whole_answer(ask: Ask, act: Act) -> None:
    with failing_server(act) as server:
        with pytest.raises(ConnectionLost):
            ask(server.url, collect(["a"]))
        assert len(server.asked) == 1


def test_a_batch_takes_texts_as_they_come(ask: Ask) -> None:
    async def coming() -> Any:
        yield "a"

    with failing_server(lines(LINE, TOTALS)) as server:
        assert len(ask(server.url, collect(["a"]))) == 1
        assert ask(server.url, collect([])) == []
        assert len(ask_async(server.url, collect(coming()))) == 1
        with pytest.raises(TypeError, match="one text"):
            ask(server.url, collect("abc"))


def test_a_batch_that_is_refused(ask: Ask) -> None:
    with (
        failing_server(answer(404, {"code": "model_not_found", "detail": "unknown"})) as server,
        pytest.raises(NotFound),
    ):
        ask(server.url, collect(["a"]))


def test_an_http_client_of_ones_own_is_used_and_not_closed() -> None:
    def respond(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"ready": True, "asked": str(request.url)})

    own = httpx.Client(transport=httpx.MockTransport(respond))
    with Client("http://gateway", http=own) as client:
        assert client.ready()
    assert not own.is_closed
    own.close()

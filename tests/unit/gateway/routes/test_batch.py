from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest

from tests.support.catalogs import catalog, version
from tests.support.gateways import Stages, client, services
from tests.support.hops import FakeHop
from trireme_common.errors import Code, TriremeError
from trireme_gateway.app import create_app
from trireme_gateway.batch import WINDOW_TEXTS
from trireme_gateway.http_server import HttpServer
from trireme_gateway.listening import listen
from trireme_gateway.middleware import AccessLog

NDJSON = {"content-type": "application/x-ndjson"}
JSON = {"content-type": "application/json"}


async def post(
    content: bytes | Any, headers: dict[str, str] | None = None, path: str = "/predict/batch", **made: Any
) -> httpx.Response:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    async with client(services(**made)) as http:
        return await http.post(path, content=body, headers=headers or JSON)


def lines(response: httpx.Response) -> list[dict[str, Any]]:
    assert response.headers["content-type"].startswith("application/x-ndjson")
    return [json.loads(line) for line in response.text.splitlines()]


def numbered(count: int) -> list[str]:
    return [f"好{number}" for number in range(count)]


@pytest.mark.parametrize("count", [0, 1, 101, 1000])
@pytest.mark.parametrize("as_lines", [True, False])
async def test_a_line_a_text_in_order_and_the_totals(count: int, as_lines: bool) -> None:
    texts = numbered(count)
    if as_lines:
        body = "".join(json.dumps(text, ensure_ascii=False) + "\n" for text in texts).encode()
        response = await post(body, NDJSON)
    else:
        response = await post({"texts": texts})
    assert response.status_code == 200
    *found, last = lines(response)
    assert [(line["index"], line["text"]) for line in found] == list(enumerate(texts))
    assert all(line["label"] == "正面" and line["confidence"] == 0.75 for line in found)
    assert (last["total_count"], last["failed"]) == (count, 0)
    assert isinstance(last["inference_time"], float)


@pytest.mark.parametrize("accept", ["application/json", "application/json, */*", "Application/JSON; q=0.9"])
async def test_one_object_for_those_who_ask_for_json(accept: str) -> None:
    response = await post({"texts": ["好", "", "差"]}, {**JSON, "accept": accept})
    assert response.headers["content-type"] == "application/json"
    found = response.json()
    assert found["total_count"] == 3
    assert [item.get("label") for item in found["results"]] == ["正面", None, "负面"]
    assert found["results"][1] == {"index": 1, "error": {"code": "blank_text", "detail": "the text is blank"}}


async def test_bad_texts_fail_alone() -> None:
    *found, last = lines(await post({"texts": ["好", " ", "差"]}))
    assert found[1] == {"index": 1, "error": {"code": "blank_text", "detail": "the text is blank"}}
    assert [line["index"] for line in found] == [0, 1, 2]
    assert (last["total_count"], last["failed"]) == (3, 1)


async def test_all_failed_is_the_status_of_the_first_error_in_one_object() -> None:
    response = await post({"texts": ["", " "]}, {**JSON, "accept": "application/json"})
    assert response.status_code == 400
    assert len(response.json()["results"]) == 2


@pytest.mark.parametrize("accept", ["*/*", "application/json"])
@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b"", JSON),
        (b"{}", JSON),
        (b'{"texts":["a",1]}', JSON),
        (b'{"texts":["a"],"texts":["b"]}', JSON),
        (b'{"texts":["a"], "model":"b"}', JSON),
        (b'{"texts":[NaN]}', JSON),
        (b'{"texts":["a"', JSON),
        (b'"a"\n1\n', NDJSON),
        (b'"a"\n{"text":"b"}\n', NDJSON),
    ],
)
async def test_a_fault_in_the_first_window_refuses_the_request(
    body: bytes, headers: dict[str, str], accept: str
) -> None:
    stages = Stages()
    response = await post(body, {**headers, "accept": accept}, stages=stages)
    assert response.status_code == 400
    assert response.headers["content-type"] == "application/problem+json"
    assert not stages.preprocess.calls


async def test_a_later_fault_is_the_last_line_but_one() -> None:
    count = WINDOW_TEXTS * 2
    body = b"".join(b'"x"\n' for _ in range(count)) + b"17\n"
    *found, fault, last = lines(await post(body, NDJSON))
    assert len(found) == count
    assert fault == {
        "index": count,
        "error": {"code": "invalid_argument", "detail": "every line must be a JSON string"},
    }
    assert (last["total_count"], last["failed"]) == (count + 1, 1)


async def test_a_later_fault_refuses_the_request_where_nothing_has_left() -> None:
    body = b"".join(b'"x"\n' for _ in range(WINDOW_TEXTS * 2)) + b"17\n"
    response = await post(body, {**NDJSON, "accept": "application/json"})
    assert response.status_code == 400
    assert response.headers["content-type"] == "application/problem+json"


async def test_a_stage_that_is_gone_costs_the_texts_and_not_the_run() -> None:
    stages = Stages(inference=FakeHop(error=TriremeError(Code.BACKEND_UNAVAILABLE, "none")))
    *found, last = lines(await post({"texts": ["a", "b"]}, stages=stages))
    assert [line["error"]["code"] for line in found] == ["backend_unavailable"] * 2
    assert last["failed"] == 2


async def test_a_model_with_a_limit_on_its_items_takes_any_number_here() -> None:
    *_, last = lines(await post({"texts": numbered(200)}, found=catalog(version("m", max_items=7))))
    assert (last["total_count"], last["failed"]) == (200, 0)


async def test_another_model_by_name() -> None:
    response = await post({"texts": ["a"]}, path="/predict/batch?model=digits")
    assert response.status_code == 400
    response = await post({"texts": ["a"]}, path="/predict/batch?model=nobody")
    assert response.status_code == 404
    found = catalog("a", "b")
    response = await post({"texts": ["好"]}, path="/predict/batch?model=b", found=found)
    assert lines(response)[0]["label"] == "正面"


async def test_one_text_beyond_the_limit_is_413_and_the_total_has_none() -> None:
    response = await post({"texts": ["x" * 4000]}, max_body_bytes=1024)
    assert response.status_code == 413
    response = await post({"texts": ["x" * 100] * 100}, max_body_bytes=1024)
    assert lines(response)[-1]["total_count"] == 100


class Server:
    """The application behind a real server, because only there the body comes in parts."""

    def __init__(self, stages: Stages) -> None:
        self.sock = listen("127.0.0.1", 0)
        self.http = HttpServer(create_app(services(stages), AccessLog()), grace_seconds=1)
        self.port = self.sock.getsockname()[1]

    async def __aenter__(self) -> Server:
        self.serving = asyncio.create_task(self.http.run_on(self.sock))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.http.stop(self.serving)


async def test_no_part_of_a_long_body_is_lost_while_answers_leave() -> None:
    count = 5_000
    body = "".join(f'"很好 {number}"\n' for number in range(count)).encode()

    async def slowly() -> Any:
        for start in range(0, len(body), 2_000):
            yield body[start : start + 2_000]
            await asyncio.sleep(0)

    async with (
        Server(Stages()) as server,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}") as http,
    ):
        response = await http.post("/predict/batch", content=slowly(), headers=NDJSON, timeout=60)
    *found, last = lines(response)
    assert (last["total_count"], last["failed"]) == (count, 0)
    assert [line["text"] for line in found] == [f"很好 {number}" for number in range(count)]


@pytest.mark.parametrize(
    ("headers", "begin", "between", "end"),
    [(NDJSON, b"", b"\n", b"\n"), (JSON, b'{"texts":[', b",", b"]}")],
    ids=["lines", "json"],
)
async def test_a_caller_may_wait_for_an_answer_before_it_sends_more(
    headers: dict[str, str], begin: bytes, between: bytes, end: bytes
) -> None:
    def chunk(data: bytes) -> bytes:
        return b"%x\r\n%s\r\n" % (len(data), data)

    async with Server(Stages()) as server, asyncio.timeout(30):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)

        async def line() -> Any:
            while not (found := await reader.readline()).startswith(b"{"):
                pass
            return json.loads(found)

        head = f"content-type: {headers['content-type']}\r\ntransfer-encoding: chunked\r\n\r\n"
        writer.write(b"POST /predict/batch HTTP/1.1\r\nhost: x\r\n" + head.encode() + chunk(b" " + begin))
        for number in range(5):
            writer.write(chunk(json.dumps(f"很好 {number}").encode()) + chunk(between))
            answer = await line()
            assert (answer["index"], answer["text"]) == (number, f"很好 {number}")
        writer.write(chunk(b'"last"') + chunk(end) + b"0\r\n\r\n")
        assert (await line())["text"] == "last"
        assert (await line())["total_count"] == 6
        writer.close()


async def test_a_caller_that_leaves_in_the_middle_ends_the_run() -> None:
    stages = Stages()
    stages.inference.gate = asyncio.Event()
    async with Server(stages) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        head = b"POST /predict/batch HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-ndjson\r\n"
        writer.write(head + b"content-length: 1000000\r\n\r\n" + b'"x"\n' * (WINDOW_TEXTS * 2))
        await writer.drain()
        async with asyncio.timeout(10):
            while not stages.inference.calls:
                await asyncio.sleep(0.002)
            writer.close()
            while stages.inference.cancelled < len(stages.inference.calls):
                await asyncio.sleep(0.002)
        del reader

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from trireme_cli.failure import Failure
from trireme_cli.platform_client import PlatformClient
from trireme_cli.predict.calls import Caller, batches
from trireme_cli.predict.items import BadItem, Item, Origin, PictureItem, RowItem, TextItem
from trireme_cli.predict.results import Result

URL = "http://gateway"


async def _answers(handler: Callable[[httpx.Request], httpx.Response], *items: Item) -> list[dict[str, Any]]:
    async with httpx.AsyncClient(transport=httpx.MockTransport(handler)) as client:
        caller = Caller(PlatformClient(URL, client), "m")
        results: list[Result] = []
        for batch in batches(items):
            results.extend(await caller.answer(batch))
    return [result.line() for result in results]


def test_neighbouring_texts_travel_together() -> None:
    items: list[Item] = [TextItem(Origin(at), "x") for at in range(600)]
    items.insert(300, RowItem(Origin(0), (1.0,)))

    sizes = [len(batch) for batch in batches(items)]

    assert sizes == [256, 44, 1, 256, 44]


def test_a_stream_fits_into_the_sockets() -> None:
    items = [TextItem(Origin(at), "长" * 4000) for at in range(10)]

    assert all(len(batch) <= 2 for batch in batches(items))


async def test_texts_go_as_json_strings_and_come_back_by_index() -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        assert request.url.path == "/predict/batch"
        assert request.url.params["model"] == "m"
        assert request.headers["content-type"] == "application/x-ndjson"
        assert [json.loads(line) for line in request.content.splitlines()] == ["好", "a\nb"]
        lines = [
            {"index": 1, "error": {"code": "blank_text", "detail": "blank"}},
            {"index": 0, "text": "好", "label": "正面"},
            {"total_count": 2, "failed": 1, "inference_time": 0.1},
        ]
        return httpx.Response(200, text="\n".join(map(json.dumps, lines)))

    answers = await _answers(handler, TextItem(Origin(1), "好"), TextItem(Origin(2), "a\nb"))

    assert answers == [
        {"index": 0, "input": 1, "text": "好", "label": "正面"},
        {"index": 1, "input": 2, "text": "a\nb", "error": {"code": "blank_text", "detail": "blank"}},
    ]


async def test_a_stream_that_is_cut_fails_what_is_missing() -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, text='{"index": 0, "label": "正面"}\n{"index": 1, "lab')

    first, second = await _answers(handler, TextItem(Origin(1), "a"), TextItem(Origin(2), "b"))

    assert first["label"] == "正面"
    assert second["error"]["code"] == "stream_cut"


async def test_a_problem_fails_the_whole_batch() -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        return httpx.Response(503, json={"code": "overloaded", "detail": "too much"})

    answers = await _answers(handler, TextItem(Origin(1), "a"), TextItem(Origin(2), "b"))

    assert [answer["error"] for answer in answers] == [{"code": "overloaded", "detail": "too much"}] * 2


async def test_a_picture_is_the_body(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"PNG")

    def handler(request: httpx.Request) -> httpx.Response:
        assert request.url.path == "/v1/models/m/predict"
        assert request.headers["content-type"] == "image/png"
        assert request.content == b"PNG"
        return httpx.Response(200, json={"label": "7"})

    item = PictureItem(Origin("a.png"), tmp_path / "a.png", "image/png")
    gone = PictureItem(Origin("b.png"), tmp_path / "b.png", "image/png")
    good, bad = await _answers(handler, item, gone)

    assert good == {"index": 0, "input": "a.png", "label": "7"}
    assert bad["error"]["code"] == "unreadable_file"


@pytest.mark.parametrize(
    ("result", "fields"),
    [(1.5, {"value": 1.5}), ([1.5, 2], {"values": [1.5, 2]}), ({"value": 1.5}, {"value": 1.5})],
)
async def test_a_row(result: object, fields: dict[str, Any]) -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        assert json.loads(request.content) == {"data": [1.0, 2.0]}
        return httpx.Response(200, json={"result": result, "version": "1"})

    answers = await _answers(handler, RowItem(Origin(1), (1.0, 2.0)))

    assert answers == [{"index": 0, "input": 1, **fields, "version": "1"}]


async def test_a_bad_item_is_not_sent() -> None:
    answers = await _answers(lambda _: httpx.Response(500), BadItem(Origin(1), "c", "d"))

    assert answers[0]["error"] == {"code": "c", "detail": "d"}


async def test_a_time_out_fails_its_items_alone() -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadTimeout("late")

    answers = await _answers(handler, RowItem(Origin(1), (1.0,)))

    assert answers[0]["error"]["code"] == "timeout"


async def test_a_platform_that_has_gone_ends_the_run() -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    with pytest.raises(Failure, match="nothing listens at http://gateway"):
        await _answers(handler, RowItem(Origin(1), (1.0,)))

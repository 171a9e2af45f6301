"""Items to calls: texts travel together in streams, pictures and rows one by one."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

import httpx

from trireme_cli.failure import Failure
from trireme_cli.platform_client import PlatformClient, TimedOut, problem_of
from trireme_cli.predict.items import BadItem, Item, PictureItem, RowItem, TextItem
from trireme_cli.predict.results import Result

Numbered = tuple[int, Item]

_STREAM_TEXTS = 256
_STREAM_BYTES = 64 * 1024
"""A request is read whole by the sockets even if the server answers before it has read it, so that
neither side ever waits for the other: HTTP/1.1 clients send all of a body before they read."""


def batches(items: Sequence[Item]) -> Iterator[list[Numbered]]:
    """Neighbouring texts in streams, everything else alone, in order."""
    texts: list[Numbered] = []
    size = 0
    for index, item in enumerate(items):
        length = len(item.text) * 6 + 3 if isinstance(item, TextItem) else 0
        full = len(texts) >= _STREAM_TEXTS or size + length > _STREAM_BYTES
        if texts and (full or not isinstance(item, TextItem)):
            yield texts
            texts, size = [], 0
        if isinstance(item, TextItem):
            texts.append((index, item))
            size += length
        else:
            yield [(index, item)]
    if texts:
        yield texts


class Caller:
    """Asks one model."""

    def __init__(self, client: PlatformClient, model: str) -> None:
        self._client = client
        self._model = model

    async def answer(self, batch: Sequence[Numbered]) -> list[Result]:
        """Results of one batch, in its order. Raises Failure if the platform is gone."""
        try:
            return await self._answer(batch)
        except TimedOut as error:
            return [Result(index, item.origin, _error("timeout", str(error))) for index, item in batch]

    async def _answer(self, batch: Sequence[Numbered]) -> list[Result]:
        index, item = batch[0]
        match item:
            case TextItem():
                return await self._texts(batch)
            case PictureItem():
                fields = await self._picture(item)
            case RowItem():
                fields = await self._row(item)
            case BadItem():
                fields = _error(item.code, item.detail)
        return [Result(index, item.origin, fields)]

    async def _picture(self, item: PictureItem) -> Mapping[str, Any]:
        try:
            data = item.read()
        except OSError as error:
            return _error("unreadable_file", f"cannot be read: {error.strerror}")
        path = f"/v1/models/{quote(self._model, safe='')}/predict"
        response = await self._post(path, content=data, headers={"content-type": item.content_type})
        return _fields(response)

    async def _row(self, item: RowItem) -> Mapping[str, Any]:
        response = await self._post("/predict", params={"model": self._model}, json={"data": item.numbers})
        fields = _fields(response)
        if "result" not in fields:
            return fields
        rest = {name: value for name, value in fields.items() if name != "result"}
        return {**_as_item(fields["result"]), **rest}

    async def _texts(self, batch: Sequence[Numbered]) -> list[Result]:
        body = "".join(f"{json.dumps(item.text)}\n" for _, item in batch if isinstance(item, TextItem))
        response = await self._post(
            "/predict/batch",
            params={"model": self._model},
            content=body.encode(),
            headers={"content-type": "application/x-ndjson", "accept": "application/x-ndjson"},
        )
        answers = _stream_answers(response, len(batch))
        return [
            Result(
                index, item.origin, {"text": item.text, **answer} if isinstance(item, TextItem) else answer
            )
            for (index, item), answer in zip(batch, answers, strict=True)
        ]

    async def _post(self, path: str, **arguments: Any) -> httpx.Response:
        response = await self._client.request("POST", path, **arguments)
        if response.status_code == httpx.codes.NOT_FOUND:
            # The model has gone since we asked for it; no later item will fare better.
            raise Failure(
                f"{self._client.url} no longer serves {self._model}: {problem_of(response)['detail']}"
            )
        return response


def _fields(response: httpx.Response) -> dict[str, Any]:
    if not response.is_success:
        return {"error": problem_of(response)}
    try:
        body = response.json()
    except ValueError:
        body = None
    return body if isinstance(body, dict) else dict(_error("bad_answer", "the answer is no JSON object"))


def _stream_answers(response: httpx.Response, count: int) -> list[Mapping[str, Any]]:
    lines = [line for line in map(_json_object, response.text.splitlines()) if "index" in line]
    if not response.is_success and not lines:
        return [{"error": problem_of(response)}] * count
    by_index = {line["index"]: line for line in lines}
    cut = _error("stream_cut", "the stream of answers ended before this one")
    return [
        {name: value for name, value in by_index.get(at, cut).items() if name != "index"}
        for at in range(count)
    ]


def _json_object(line: str) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _as_item(result: Any) -> Mapping[str, Any]:
    if isinstance(result, dict):
        return result
    return {"values": result} if isinstance(result, list) else {"value": result}


def _error(code: str, detail: str) -> Mapping[str, Any]:
    return {"error": {"code": code, "detail": detail}}

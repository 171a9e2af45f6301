from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trireme_common.errors import Code, TriremeError
from trireme_gateway.batch_source import json_texts, ndjson_texts

Read = Callable[[AsyncIterator[bytes], int], AsyncIterator[str]]

texts_of_any_kind = st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=12), max_size=12)


async def chunks(body: bytes, size: int) -> AsyncIterator[bytes]:
    for start in range(0, len(body), size):
        yield body[start : start + size]


async def read(source: Read, body: bytes, *, size: int = 7, limit: int = 1000) -> list[str]:
    return [text async for text in source(chunks(body, size), limit)]


async def refusal(source: Read, body: bytes, *, size: int = 7, limit: int = 1000) -> TriremeError:
    with pytest.raises(TriremeError) as refused:
        await read(source, body, size=size, limit=limit)
    return refused.value


@given(texts_of_any_kind, st.integers(1, 30), st.booleans())
async def test_a_json_body_in_any_chunks(texts: list[str], size: int, ascii_only: bool) -> None:
    body = json.dumps({"texts": texts}, ensure_ascii=ascii_only).encode()
    assert await read(json_texts, body, size=size) == texts


@given(texts_of_any_kind, st.integers(1, 30), st.sampled_from(["\n", "\r\n", "\n\n"]), st.booleans())
async def test_lines_in_any_chunks(texts: list[str], size: int, ending: str, closed: bool) -> None:
    body = ending.join(json.dumps(text, ensure_ascii=False) for text in texts) + (ending if closed else "")
    assert await read(ndjson_texts, body.encode(), size=size) == texts


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[]",
        b'"texts"',
        b'["a"]',
        b'{"texts":"a"}',
        b'{"texts":null}',
        b'{"texts":{"a":1}}',
        b'{"texts":["a",1]}',
        b'{"texts":["a",null]}',
        b'{"texts":["a",["b"]]}',
        b'{"texts":["a",{"b":1}]}',
        b'{"texts":["a"],"texts":["b"]}',
        b'{"texts":["a"],"more":1}',
        b'{"texts.item":"a"}',
        b'{"":["a"]}',
        b'{"texts":[NaN]}',
        b'{"texts":["a"]',
        b'{"texts":["a"]} x',
        b'{"texts":["a"]}{"texts":["b"]}',
        b'{"texts":["\xff"]}',
        b'{"texts":["a",]}',
        b'{"texts":' + b"[" * 5000,
    ],
)
@pytest.mark.parametrize("size", [1, 100_000])
async def test_any_other_body_is_refused(body: bytes, size: int) -> None:
    assert (await refusal(json_texts, body, size=size, limit=100_000)).code is Code.INVALID_ARGUMENT


@pytest.mark.parametrize("line", [b"1", b"null", b'["a"]', b'{"a":1}', b"a", b'"a" "b"', b'"\xff"', b"NaN"])
async def test_any_other_line_is_refused(line: bytes) -> None:
    assert (await refusal(ndjson_texts, b'"good"\n' + line + b"\n")).code is Code.INVALID_ARGUMENT


@pytest.mark.parametrize("source", [json_texts, ndjson_texts])
async def test_there_is_a_limit_on_one_text_and_none_on_the_total(source: Read) -> None:
    many = ["x" * 50] * 200
    body = json.dumps({"texts": many}) if source is json_texts else "\n".join(map(json.dumps, many))
    assert await read(source, body.encode(), size=20, limit=100) == many
    long = "y" * 500
    body = json.dumps({"texts": [long]}) if source is json_texts else json.dumps(long)
    assert (await refusal(source, body.encode(), size=20, limit=100)).code is Code.PAYLOAD_TOO_LARGE


async def test_texts_come_before_the_body_has_ended() -> None:
    async def endless() -> AsyncIterator[bytes]:
        yield b'{"texts":["a",'
        yield b'"b",'
        raise AssertionError("read further than was asked for")

    source = json_texts(endless(), 100)
    assert [await anext(source), await anext(source)] == ["a", "b"]

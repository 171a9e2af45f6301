from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trireme_common.errors import Code, TriremeError
from trireme_gateway.batch_source import json_texts, ndjson_texts
from trireme_gateway.json_body import parse_json

Read = Callable[[AsyncIterator[bytes], int], AsyncIterator[list[str]]]

texts_of_any_kind = st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=12), max_size=12)


async def chunks(body: bytes, size: int) -> AsyncIterator[bytes]:
    for start in range(0, len(body), size):
        yield body[start : start + size]


async def read(source: Read, body: bytes, *, size: int = 7, limit: int = 1000) -> list[str]:
    return [text async for texts in source(chunks(body, size), limit) for text in texts]


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
    assert [await anext(source), await anext(source)] == [["a"], ["b"]]


@pytest.mark.parametrize(
    ("source", "body"),
    [
        (json_texts, b'{"texts":["a","b",1,"c"]}'),
        (json_texts, b'{"texts":["a","b",}'),
        (json_texts, rb'{"texts":["a","b","c\ud800"]}'),
        (json_texts, b'{"texts":["a","b","' + b"c" * 200 + b'"]}'),
        (ndjson_texts, b'"a"\n"b"\n1\n"c"\n'),
        (ndjson_texts, b'"a"\n"b"\n"' + b"c" * 200 + b'"\n'),
    ],
)
async def test_texts_before_a_fault_in_the_same_chunk_are_handed_on(source: Read, body: bytes) -> None:
    found = source(chunks(body, 1000), 100)
    assert await anext(found) == ["a", "b"]
    with pytest.raises(TriremeError):
        await anext(found)


_LONE = [
    rb"\ud800", rb"\uDC00", rb"a\udbff\n", rb"\ud800\u0041", rb"\ud83d\ud83d", rb"\ud83d.\ude00",
    rb"\\\ud83d", b"\xed\xa0\x80", b"\xed\xb0\x80",
]  # fmt: skip


@pytest.mark.parametrize("lone", _LONE)
@pytest.mark.parametrize("size", [1, 3, 1000])
@pytest.mark.parametrize("source", [json_texts, ndjson_texts])
async def test_half_a_surrogate_pair_is_refused_as_elsewhere(source: Read, lone: bytes, size: int) -> None:
    with pytest.raises(TriremeError) as elsewhere:
        parse_json(b'"' + lone + b'"')
    body = b'{"texts":["' + lone + b'"]}' if source is json_texts else b'"' + lone + b'"'
    fault = await refusal(source, body, size=size)
    assert fault.code is elsewhere.value.code
    assert fault.detail.startswith("the body is not valid JSON")


_PARTS = st.sampled_from(
    [
        rb"\ud83d",
        rb"\ude00",
        rb"\u00e9",
        rb"\D",
        rb"\\",
        rb"\n",
        b"u",
        b"d",
        b"\\",
        b'"',
        b"\n",
        "好".encode(),
        b"\xff",
    ]
)


@given(st.lists(_PARTS, max_size=8).map(b"".join), st.integers(1, 12))
async def test_a_text_is_read_as_the_strict_parser_reads_it(text: bytes, size: int) -> None:
    body = b'{"texts":["' + text + b'"]}'
    assert await answer(lambda: read(json_texts, body, size=size)) == await answer(strictly(body))


def strictly(body: bytes) -> Callable[[], Awaitable[list[str]]]:
    async def texts() -> list[str]:
        found: list[str] = parse_json(body)["texts"]
        return found

    return texts


async def answer(ask: Callable[[], Awaitable[list[str]]]) -> list[str] | Code:
    try:
        return await ask()
    except TriremeError as error:
        return error.code

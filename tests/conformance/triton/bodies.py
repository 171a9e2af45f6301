"""The bodies that Triton's HTTP clients make and read without a connection of their own."""

from __future__ import annotations

import contextlib
import gzip
import http.client
import json
from collections.abc import Iterator, Mapping

import numpy as np

from tests.conformance.casebook import CaseBook
from tests.conformance.triton.client import TritonClient, pair, sums_of
from tests.conformance.triton.infer import check_sums, fields_of
from tests.conformance.triton.server import HTTP, UNKNOWN

BODIES = CaseBook()
_LENGTH = "Inference-Header-Content-Length"


@BODIES.works("generate_request_body", "JSON with bytes behind it, posted by hand", *HTTP)
async def binary_body(client: TritonClient) -> None:
    left, right = pair(2)
    body, length = client.raw.generate_request_body(
        sums_of(client, left, right), request_id="by hand", parameters={"colour": "red"}
    )
    with _posted(client, client.models.sums, body, {_LENGTH: str(length)}) as (status, headers, answer):
        assert status == 200, answer
        result = client.raw.parse_response_body(answer, header_length=int(headers[_LENGTH]))
    check_sums(result, left, right)
    assert fields_of(client, result)[2] == "by hand"


@BODIES.works("generate_request_body", "JSON alone, posted by hand", *HTTP)
async def json_body(client: TritonClient) -> None:
    left, right = pair()
    outputs = [client.output(name, binary=False) for name in ("SUM", "DIFFERENCE")]
    body, length = client.raw.generate_request_body(sums_of(client, left, right, binary=False), outputs)
    assert length is None
    with _posted(client, client.models.sums, body, {}) as (status, headers, answer):
        assert status == 200, answer
        assert _LENGTH not in headers
        check_sums(client.raw.parse_response_body(answer), left, right)


@BODIES.fails("generate_request_body", "posted without the length of its JSON", *HTTP)
async def without_length(client: TritonClient) -> None:
    body, _ = client.raw.generate_request_body(sums_of(client, *pair()))
    with _posted(client, client.models.sums, body, {}) as (status, _, answer):
        assert status == 400, status
        assert json.loads(answer)["error"]


@BODIES.works("parse_response_body", "a compressed answer", *HTTP)
async def compressed_body(client: TritonClient) -> None:
    values = np.arange(5_000, dtype=np.float32)
    body, length = client.raw.generate_request_body([client.tensor("x", values)])
    headers = {_LENGTH: str(length), "Accept-Encoding": "gzip", "Content-Encoding": "gzip"}
    with _posted(client, client.models.versions, gzip.compress(body), headers) as (status, found, answer):
        assert status == 200, answer
        assert found["Content-Encoding"] == "gzip", dict(found)
        result = client.raw.parse_response_body(
            answer, header_length=int(found[_LENGTH]), content_encoding=found["Content-Encoding"]
        )
    np.testing.assert_array_equal(result.as_numpy("y"), values * 3)


@BODIES.fails("parse_response_body", "an error: no outputs, and its message", *HTTP)
async def error_body(client: TritonClient) -> None:
    body, length = client.raw.generate_request_body(sums_of(client, *pair()))
    with _posted(client, UNKNOWN, body, {_LENGTH: str(length)}) as (status, _, answer):
        assert status in (400, 404), status
    result = client.raw.parse_response_body(answer)
    assert result.as_numpy("SUM") is None
    assert UNKNOWN in result.get_response()["error"]


@contextlib.contextmanager
def _posted(
    client: TritonClient, model: str, body: bytes, headers: Mapping[str, str]
) -> Iterator[tuple[int, http.client.HTTPMessage, bytes]]:
    connection = http.client.HTTPConnection(client.target.http, timeout=30)
    try:
        connection.request("POST", f"/v2/models/{model}/infer", body, dict(headers))
        answer = connection.getresponse()
        yield answer.status, answer.headers, answer.read()
    finally:
        connection.close()

"""A file over HTTP from some byte on, shared by the HTTP and the OCI source."""

from __future__ import annotations

import re
from collections.abc import Generator, Mapping
from contextlib import ExitStack

import urllib3

from trireme_common.remote.failure import Kind, SourceError
from trireme_common.remote.http_client import HttpClient, blocks, status_error
from trireme_common.remote.source import Content, RemoteFile

_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")


def open_range(
    client: HttpClient, url: str, headers: Mapping[str, str], file: RemoteFile, offset: int
) -> Content:
    """The content from `offset` on, or from 0 where the server knows no ranges (RFC 9110, section 14).

    The connection is given back when the blocks are used up or closed. Raises SourceError.
    """
    asked = {**headers, "range": f"bytes={offset}-"} if offset else headers
    with ExitStack() as stack:
        response = stack.enter_context(client.get(url, asked))
        start = _start(response, file, offset)
        return Content(start, _drain(stack.pop_all(), response, url))


def _drain(stack: ExitStack, response: urllib3.BaseHTTPResponse, url: str) -> Generator[bytes, None, None]:
    with stack:
        yield from blocks(response, url)


def _start(response: urllib3.BaseHTTPResponse, file: RemoteFile, offset: int) -> int:
    if response.status == 200:
        length = response.headers.get("content-length", "")
        if length.isdigit() and int(length) != file.size:
            raise SourceError(Kind.CHANGED, f"{file.path}: {length} bytes, not the {file.size} listed")
        return 0
    if response.status == 206:
        found = _CONTENT_RANGE.fullmatch(response.headers.get("content-range", ""))
        if found is None or int(found[1]) != offset or found[3] not in ("*", str(file.size)):
            raise SourceError(Kind.CHANGED, f"{file.path}: the answer is another range than was asked for")
        return offset
    raise status_error(response.status, file.path)

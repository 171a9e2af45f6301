"""The parts of the S3, Google Cloud Storage and Azure Blob protocols that reading a repository takes.

Listings come in pages of two objects, so that continuing a listing is part of every test.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

from tests.support.web_server import Answer, Request, WebServer, file_answer

_PAGE = 2
_WHEN = "2025-01-01T00:00:00.000Z"


class Bucket:
    """Objects by key; `etags` says otherwise where the ETag is not the MD5."""

    def __init__(self, objects: dict[str, bytes]) -> None:
        self.objects = objects
        self.denied = False
        self.server = WebServer(self._answer)

    def etag(self, key: str) -> str:
        return f'"{hashlib.md5(self.objects[key]).hexdigest()}"'

    def _answer(self, request: Request) -> Answer:
        if self.denied:
            return Answer(403, b"<Error><Code>AccessDenied</Code></Error>")
        query = {name: values[0] for name, values in parse_qs(request.parts.query).items()}
        if self.is_listing(request, query):
            return self._list(query)
        key = self.key(request)
        if key not in self.objects:
            return Answer(404, b"<Error><Code>NoSuchKey</Code></Error>")
        answer = file_answer(self.objects[key], self.etag(key))
        return Answer(200, answer.body, {**answer.headers, **self.more_headers()}, file=True)

    def is_listing(self, request: Request, query: Mapping[str, str]) -> bool:
        return "list-type" in query

    def key(self, request: Request) -> str:
        return request.path.lstrip("/").partition("/")[2]

    def more_headers(self) -> dict[str, str]:
        return {}

    def _list(self, query: Mapping[str, str]) -> Answer:
        keys = sorted(key for key in self.objects if key.startswith(query.get("prefix", "")))
        start = int(query.get("continuation-token", query.get("marker", "0")) or 0)
        page, rest = keys[start : start + _PAGE], start + _PAGE < len(keys)
        return Answer(200, self.listing(page, str(start + _PAGE) if rest else "").encode())

    def listing(self, keys: Iterable[str], more: str) -> str:
        contents = "".join(
            f"<Contents><Key>{escape(key)}</Key><LastModified>{_WHEN}</LastModified>"
            f"<ETag>{escape(self.etag(key))}</ETag><Size>{len(self.objects[key])}</Size></Contents>"
            for key in keys
        )
        token = f"<NextContinuationToken>{more}</NextContinuationToken>" if more else ""
        truncated = str(bool(more)).lower()
        return f"<ListBucketResult><IsTruncated>{truncated}</IsTruncated>{token}{contents}</ListBucketResult>"


class AzureContainer(Bucket):
    """`/<account>/<container>/<blob>`, as the emulators lay it out."""

    def is_listing(self, request: Request, query: Mapping[str, str]) -> bool:
        return query.get("comp") == "list"

    def key(self, request: Request) -> str:
        return request.path.lstrip("/").split("/", 2)[2]

    def more_headers(self) -> dict[str, str]:
        return {"x-ms-blob-type": "BlockBlob", "x-ms-version": "2021-12-02"}

    def listing(self, keys: Iterable[str], more: str) -> str:
        blobs = "".join(
            f"<Blob><Name>{escape(key)}</Name><Properties>"
            "<Creation-Time>Wed, 01 Jan 2025 00:00:00 GMT</Creation-Time>"
            "<Last-Modified>Wed, 01 Jan 2025 00:00:00 GMT</Last-Modified>"
            f"<Etag>{escape(self.etag(key))}</Etag><Content-Length>{len(self.objects[key])}</Content-Length>"
            "<Content-Type>application/octet-stream</Content-Type></Properties></Blob>"
            for key in keys
        )
        marker = f"<NextMarker>{more}</NextMarker>" if more else "<NextMarker />"
        return f"<EnumerationResults><Blobs>{blobs}</Blobs>{marker}</EnumerationResults>"

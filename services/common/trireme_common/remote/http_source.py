"""A repository behind a web server: `repository.json` lists the files, each lies beside it.

HTTP has no listing that all servers share, so the repository carries its own, written by
`python -m trireme_common.remote index DIR`. The digest of each file is in it, and is verified.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

from trireme_common.remote.credentials import Credentials
from trireme_common.remote.http_client import HttpClient, read_small, status_error
from trireme_common.remote.http_index import INDEX, read_index
from trireme_common.remote.http_ranges import open_range
from trireme_common.remote.source import Content, RemoteFile

_MAX_INDEX_BYTES = 16 * 1024 * 1024


class HttpSource:
    """`https://host/path/`; the listing is asked for with the ETag of the last one."""

    def __init__(self, url: str, client: HttpClient, credentials: Credentials) -> None:
        self.name = url.rstrip("/") + "/"
        self._client = client
        self._headers = credentials.headers()
        self._etag = ""
        self._files: tuple[RemoteFile, ...] = ()

    def list_files(self) -> Sequence[RemoteFile]:
        condition = {"if-none-match": self._etag} if self._etag else {}
        with self._client.get(self.name + INDEX, {**self._headers, **condition}) as response:
            if response.status == 304:
                return self._files
            if response.status != 200:
                raise status_error(response.status, INDEX)
            body = read_small(response, _MAX_INDEX_BYTES)
            etag = response.headers.get("etag", "")
        self._files = read_index(body)
        self._etag = etag
        return self._files

    def open(self, file: RemoteFile, offset: int) -> Content:
        return open_range(self._client, self.name + quote(file.path), self._headers, file, offset)

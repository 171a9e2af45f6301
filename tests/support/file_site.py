"""A model repository behind a plain web server, with the `repository.json` that lists it."""

from __future__ import annotations

import hashlib
import json

from tests.support.web_server import Answer, Request, WebServer, file_answer


class FileSite:
    """Files below `/repo/`; the index is made of them whenever it is asked for."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files
        self.index: bytes | None = None
        """Served in place of the true index, if set."""
        self.authorization = ""
        """What every request must bring, if set."""
        self.server = WebServer(self._answer)

    @property
    def url(self) -> str:
        return f"{self.server.url}/repo/"

    def _answer(self, request: Request) -> Answer:
        if self.authorization and request.headers.get("authorization") != self.authorization:
            return Answer(401)
        path = request.path.removeprefix("/repo/")
        if path == "repository.json":
            body = self.index if self.index is not None else index_of(self.files)
            etag = f'"{hashlib.md5(body).hexdigest()}"'
            if request.headers.get("if-none-match") == etag:
                return Answer(304)
            return Answer(200, body, {"ETag": etag})
        return file_answer(self.files[path]) if path in self.files else Answer(404)


def index_of(files: dict[str, bytes]) -> bytes:
    """The index of a repository with these files."""
    entries = [
        {"path": path, "size": len(body), "sha256": hashlib.sha256(body).hexdigest()}
        for path, body in files.items()
    ]
    return json.dumps({"files": entries}).encode()

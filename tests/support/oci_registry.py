"""A registry with one artifact: manifests, blobs, and tokens where it is told to ask for them."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any
from urllib.parse import parse_qs

from tests.support.web_server import Answer, Request, WebServer

MANIFEST = "application/vnd.oci.image.manifest.v1+json"


class Registry:
    """`<host>/team/models:v1` holds `files`, one layer each, titled with their paths."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files
        self.user = ""
        """`name:password` that the token server wants; unset asks for no token."""
        self.tokens: set[str] = set()
        self.blob_redirect = ""
        """URL of another server that keeps the blobs, if set."""
        self.extra_annotations: dict[str, str] = {}
        self.corrupt = False
        self.server = WebServer(self._answer)

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server.port}"

    @property
    def url(self) -> str:
        return f"oci+http://{self.host}/team/models:v1"

    @property
    def digest(self) -> str:
        return "sha256:" + hashlib.sha256(self.manifest()).hexdigest()

    def manifest(self) -> bytes:
        """The artifact's manifest."""
        layers = [
            {
                "mediaType": "application/octet-stream",
                "digest": digest(body),
                "size": len(body),
                "annotations": {"org.opencontainers.image.title": path, **self.extra_annotations},
            }
            for path, body in self.files.items()
        ]
        empty = {"mediaType": "application/vnd.oci.empty.v1+json", "digest": digest(b"{}"), "size": 2}
        content: dict[str, Any] = {"schemaVersion": 2, "mediaType": MANIFEST, "config": empty}
        return json.dumps({**content, "layers": layers}).encode()

    def _answer(self, request: Request) -> Answer:
        if request.path == "/token":
            return self._token(request)
        given = request.headers.get("authorization", "").removeprefix("Bearer ")
        if self.user and given not in self.tokens:
            realm = f'Bearer realm="{self.server.url}/token",service="registry",scope="ignored"'
            return Answer(401, b"{}", {"WWW-Authenticate": realm})
        prefix, _, reference = request.path.rpartition("/")
        if prefix == "/v2/team/models/manifests" and reference in ("v1", self.digest):
            return Answer(200, self.manifest(), {"Content-Type": MANIFEST})
        blobs = {digest(body): body for body in self.files.values()}
        if prefix == "/v2/team/models/blobs" and reference in blobs:
            if self.blob_redirect:
                return Answer(307, b"", {"Location": f"{self.blob_redirect}/{reference}?signature=secret"})
            body = blobs[reference]
            return Answer(
                200, b"x" * len(body) if self.corrupt else body, {"ETag": f'"{reference}"'}, file=True
            )
        return Answer(404, b"{}")

    def _token(self, request: Request) -> Answer:
        expected = "Basic " + base64.b64encode(self.user.encode()).decode()
        if request.headers.get("authorization") != expected:
            return Answer(401, b"{}")
        assert parse_qs(request.parts.query)["scope"] == ["repository:team/models:pull"]
        token = f"token-{len(self.tokens)}"
        self.tokens = {token}
        return Answer(200, json.dumps({"token": token}).encode())


def digest(body: bytes) -> str:
    """As registries write it."""
    return "sha256:" + hashlib.sha256(body).hexdigest()

"""A repository as an artifact in an OCI registry, one layer a file, as `oras push` makes it.

The distribution API (https://github.com/opencontainers/distribution-spec) is three requests: the manifest,
the blobs, and a token where the registry asks for one. Every byte is verified by the digest in the manifest.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

import orjson

from trireme_common.errors import SettingsError
from trireme_common.remote.credentials import Credentials
from trireme_common.remote.failure import Kind, SourceError
from trireme_common.remote.http_client import HttpClient, read_small, status_error
from trireme_common.remote.http_ranges import open_range
from trireme_common.remote.source import Content, RemoteFile

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
TITLE = "org.opencontainers.image.title"
_UNPACK = "io.deis.oras.content.unpack"
_MAX_MANIFEST_BYTES = 16 * 1024 * 1024
_MAX_TOKEN_BYTES = 256 * 1024
_REFERENCE = re.compile(
    r"oci(?P<plain>\+http)?://(?P<host>[A-Za-z0-9.-]+(?::\d+)?)/(?P<name>[a-z0-9]+(?:[._/-]+[a-z0-9]+)*)"
    r"(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9._-]{0,127})|@(?P<digest>sha256:[0-9a-f]{64}))"
)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_PARAMETER = re.compile(r'(\w+)="([^"]*)"')


class OciSource:
    """`oci://registry/name:tag` or `oci://registry/name@sha256:...`; `oci+http://` for a plain registry.

    Raises SettingsError for a reference that is none.
    """

    def __init__(self, url: str, client: HttpClient, credentials: Credentials) -> None:
        parts = _REFERENCE.fullmatch(url)
        if parts is None:
            raise SettingsError("write oci://registry/name:tag or ...@sha256:<digest>")
        self.name = url
        self._reference = parts["tag"] or parts["digest"]
        self._base = f"{'http' if parts['plain'] else 'https'}://{parts['host']}/v2/{parts['name']}"
        self._scope = f"repository:{parts['name']}:pull"
        self._client = client
        self._credentials = credentials
        self._authorization: Mapping[str, str] = {}
        self._read: tuple[str, tuple[RemoteFile, ...]] = ("", ())

    def list_files(self) -> Sequence[RemoteFile]:
        body = self._manifest()
        digest = "sha256:" + hashlib.sha256(body).hexdigest()
        if self._reference.startswith("sha256:") and digest != self._reference:
            raise SourceError(Kind.CORRUPT, "the manifest's SHA-256 is not the one that was asked for")
        if digest != self._read[0]:
            self._read = (digest, read_manifest(body))
        return self._read[1]

    def open(self, file: RemoteFile, offset: int) -> Content:
        url = f"{self._base}/blobs/{file.identity}"
        try:
            return open_range(self._client, url, self._authorization, file, offset)
        except SourceError as error:
            if error.kind is not Kind.DENIED:
                raise
            self._manifest()  # the token may have run out: a manifest request brings a new one
            return open_range(self._client, url, self._authorization, file, offset)

    def _manifest(self) -> bytes:
        url = f"{self._base}/manifests/{self._reference}"
        for last in (False, True):
            with self._client.get(url, {"accept": MANIFEST, **self._authorization}) as response:
                if response.status == 200:
                    return read_small(response, _MAX_MANIFEST_BYTES)
                challenge = response.headers.get("www-authenticate", "")
                if response.status != 401 or last:
                    raise status_error(response.status, self._reference)
            self._authorization = self._answer(challenge)
        raise AssertionError("unreachable")

    def _answer(self, challenge: str) -> Mapping[str, str]:
        """What the registry wants: the credentials, or a token that its token server gives for them."""
        scheme, _, rest = challenge.partition(" ")
        parameters = dict(_PARAMETER.findall(rest))
        if scheme.lower() != "bearer" or "realm" not in parameters:
            return self._credentials.headers()
        if self._base.startswith("https:") and not parameters["realm"].startswith("https:"):
            raise SourceError(Kind.REFUSED, "the registry's token server is not encrypted")
        query = urlencode({"service": parameters.get("service", ""), "scope": self._scope})
        with self._client.get(f"{parameters['realm']}?{query}", self._credentials.headers()) as response:
            if response.status != 200:
                raise status_error(response.status, "the registry's token server")
            body = read_small(response, _MAX_TOKEN_BYTES)
        answer = _object(body, "the registry's token")
        token = answer.get("token") or answer.get("access_token")
        if not isinstance(token, str) or not token.isascii() or not token.isprintable():
            raise SourceError(Kind.REFUSED, "the registry's token server gave no token")
        return {"authorization": f"Bearer {token}"}


def read_manifest(body: bytes) -> tuple[RemoteFile, ...]:
    """The files of an artifact. Raises SourceError(REFUSED) where it is not one that holds files."""
    manifest = _object(body, "the manifest")
    if not isinstance(manifest.get("layers"), list):
        raise SourceError(Kind.REFUSED, "the manifest has no layers; push files, not an index")
    return tuple(_layer(layer) for layer in manifest["layers"])


def _layer(layer: Any) -> RemoteFile:
    try:
        digest, size, annotations = layer["digest"], layer["size"], layer.get("annotations") or {}
        path, packed = annotations[TITLE], annotations.get(_UNPACK)
    except (TypeError, KeyError, AttributeError) as error:
        raise SourceError(Kind.REFUSED, f"a layer without digest, size or {TITLE}; push with oras") from error
    if packed == "true":
        raise SourceError(Kind.REFUSED, "a layer is a packed directory; push files, not directories")
    if not (isinstance(path, str) and isinstance(size, int) and isinstance(digest, str)):
        raise SourceError(Kind.REFUSED, "a layer whose digest, size or title is of the wrong type")
    if not _DIGEST.fullmatch(digest):
        raise SourceError(Kind.REFUSED, "a layer whose digest is not SHA-256")
    return RemoteFile(path, size, digest)


def _object(body: bytes, what: str) -> dict[str, Any]:
    try:
        value = orjson.loads(body)
    except ValueError as error:
        raise SourceError(Kind.REFUSED, f"{what} is not JSON") from error
    if not isinstance(value, dict):
        raise SourceError(Kind.REFUSED, f"{what} is not an object")
    return value

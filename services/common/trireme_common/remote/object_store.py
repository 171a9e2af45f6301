"""A repository in S3, Google Cloud Storage or Azure Blob Storage, through obstore."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from datetime import timedelta
from typing import Any

import obstore
from obstore.exceptions import (
    BaseError,
    PermissionDeniedError,
    PreconditionError,
    UnauthenticatedError,
)
from obstore.store import from_url

from trireme_common.errors import SettingsError
from trireme_common.remote.catalog import Limits
from trireme_common.remote.failure import Kind, SourceError, mask
from trireme_common.remote.source import Content, RemoteFile

_BLOCK = 256 * 1024  # what a broken connection can cost; the rest of it is on disk already
_LIST_CHUNK = 1000
_LONGEST_REQUEST = timedelta(days=1)


class ObjectStoreSource:
    """`s3://bucket/prefix`, `gs://bucket/prefix`, `az://account/container/prefix`.

    Credentials and endpoints are found as obstore finds them: environment, web identity, metadata service.
    Every read carries the ETag of the listing, so that no mixture of two objects can arise.
    Raises SettingsError for a URL that cannot be one.
    """

    def __init__(self, url: str, *, timeout_seconds: float, allow_http: bool, limits: Limits) -> None:
        self.name = url
        self._limits = limits
        options: Any = {
            "allow_http": allow_http,
            "connect_timeout": timedelta(seconds=timeout_seconds),
            "read_timeout": timedelta(seconds=timeout_seconds),
            # The whole of a request is not bounded, a model may be large; its silence is.
            "timeout": _LONGEST_REQUEST,
        }
        retry: Any = {"max_retries": 3, "retry_timeout": timedelta(seconds=2 * timeout_seconds)}
        try:
            self._store = from_url(url, client_options=options, retry_config=retry)
        except (BaseError, ValueError) as error:
            raise SettingsError(_told(error)) from error

    def list_files(self) -> Sequence[RemoteFile]:
        files: list[RemoteFile] = []
        try:
            for chunk in obstore.list(self._store, chunk_size=_LIST_CHUNK):
                files.extend(
                    RemoteFile(entry["path"], entry["size"], entry["e_tag"] or "") for entry in chunk
                )
                if len(files) > self._limits.files:
                    break  # the catalogue refuses it; no need to list the rest
        except (BaseError, OSError, ValueError) as error:
            raise _failure(error, "listing") from error
        return files

    def open(self, file: RemoteFile, offset: int) -> Content:
        options: Any = {"if_match": file.identity}
        if offset:
            options["range"] = {"offset": offset}
        try:
            result = obstore.get(self._store, file.path, options=options)
        except (BaseError, OSError, ValueError) as error:
            raise _failure(error, file.path) from error
        if result.meta["size"] != file.size or result.range[0] != offset:
            raise SourceError(Kind.CHANGED, f"{file.path}: not what was listed")
        return Content(offset, _blocks(result, file.path))


def _blocks(result: obstore.GetResult, path: str) -> Generator[memoryview, None, None]:
    try:
        for block in result.stream(min_chunk_size=_BLOCK):
            yield memoryview(block)
    except (BaseError, OSError, ValueError) as error:
        raise _failure(error, path) from error


def _failure(error: Exception, what: str) -> SourceError:
    if isinstance(error, PreconditionError | FileNotFoundError):
        return SourceError(Kind.CHANGED, f"{what}: changed or gone since it was listed")
    if isinstance(error, PermissionDeniedError | UnauthenticatedError):
        return SourceError(Kind.DENIED, f"{what}: {_told(error)}")
    if "Path" in str(error)[:200] and "segment" in str(error):
        return SourceError(Kind.REFUSED, f"{what}: {_told(error)}")
    return SourceError(Kind.UNREACHABLE, f"{what}: {_told(error)}")


def _told(error: Exception) -> str:
    """The first paragraph of obstore's message, masked; the rest repeats the request."""
    return mask(str(error).partition("\n\n")[0].replace("\n", " "))

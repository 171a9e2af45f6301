"""`repository.json`: what lies in a repository behind a web server, with the digest of every file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from trireme_common.remote.directory_source import DirectorySource, check_no_link
from trireme_common.remote.failure import Kind, SourceError
from trireme_common.remote.source import RemoteFile
from trireme_common.repository import sha256

INDEX = "repository.json"


class IndexEntry(BaseModel):
    """One file of the index."""

    model_config = ConfigDict(extra="forbid", strict=True)

    path: str
    size: int
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Index(BaseModel):
    """`repository.json`."""

    model_config = ConfigDict(extra="forbid", strict=True)

    files: list[IndexEntry]


def read_index(body: bytes) -> tuple[RemoteFile, ...]:
    """The files that an index lists. Raises SourceError(REFUSED) where it is not one."""
    try:
        index = Index.model_validate_json(body)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise SourceError(Kind.REFUSED, f"{INDEX}: {where}: {first['msg']}") from error
    return tuple(RemoteFile(entry.path, entry.size, f"sha256:{entry.sha256}") for entry in index.files)


def write_index(directory: Path) -> int:
    """Writes `repository.json` of a repository on disk, in one step; the number of files it lists. Raises
    SourceError, also where one is a symbolic link."""
    listed = DirectorySource(directory).list_files()
    for file in listed:
        check_no_link(directory / file.path, file.path)
    entries = [
        IndexEntry(path=file.path, size=file.size, sha256=sha256(directory / file.path))
        for file in listed
        if "/" in file.path
    ]
    new = directory / f".{INDEX}.new"
    new.write_text(Index(files=entries).model_dump_json(indent=1) + "\n")
    new.replace(directory / INDEX)
    return len(entries)

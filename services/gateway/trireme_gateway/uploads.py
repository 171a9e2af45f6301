"""Files of a multipart/form-data body, which is held whole: its size is bounded before."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass

from starlette.datastructures import Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from trireme_common.errors import Code, TriremeError

MAX_FILES = 100


class _InMemoryParser(MultiPartParser):
    """Keeps files in memory: containers have no disk to write to, and the body's size is bounded."""

    spool_max_size = 2**40


@dataclass(frozen=True, slots=True)
class Upload:
    """One part with a file name; `field` is the name of its form field."""

    field: str
    data: bytes


async def read_uploads(headers: Headers, body: bytes) -> list[Upload]:
    """The files of a form, in their order. Raises TriremeError(INVALID_ARGUMENT) for a broken form."""

    parser = _InMemoryParser(headers, _once(body), max_files=MAX_FILES, max_fields=MAX_FILES)
    try:
        form = await parser.parse()
    except (MultiPartException, KeyError, ValueError) as error:
        reason = getattr(error, "message", "no valid boundary")
        raise TriremeError(Code.INVALID_ARGUMENT, f"the body is no valid multipart form: {reason}") from error
    try:
        return [
            Upload(name, await value.read())
            for name, value in form.multi_items()
            if isinstance(value, UploadFile)
        ]
    finally:
        await form.close()


async def _once(body: bytes) -> AsyncGenerator[bytes, None]:
    yield body

"""Regions of system shared memory: what is registered, and what may be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from trireme_common.errors import Code, TriremeError

MAX_REGIONS = 512
"""Each takes a file descriptor in every worker."""
_MAX_NAME = 256
_MAX_KEY_BYTES = 255  # a file name's
_MAX_SIZE = 2**63 - 1
# What others keep beside shared memory: POSIX semaphores, and Triton's own regions.
_RESERVED = ("sem.", "triton_python_backend_shm_region_")


@dataclass(frozen=True, slots=True)
class Region:
    """`byte_size` bytes from `offset` on of the memory object `key`, which was the file `inode` of the
    device `device` when it was registered."""

    name: str
    key: str
    offset: int
    byte_size: int
    device: int = 0
    inode: int = 0

    def status(self) -> dict[str, Any]:
        """As Triton answers it."""
        return {"name": self.name, "key": self.key, "offset": self.offset, "byte_size": self.byte_size}


def checked_region(name: Any, key: Any, offset: Any, byte_size: Any) -> Region:
    """What a caller asks to be registered.

    Raises TriremeError(INVALID_ARGUMENT) for what is no name, no POSIX name of a memory object, or no size.
    """
    if not isinstance(name, str) or not name:
        raise _invalid("'region name' is necessary to register system shared memory region")
    if len(name) > _MAX_NAME:
        raise _invalid(f"a region name has at most {_MAX_NAME} characters")
    if not isinstance(key, str):
        raise _invalid("Shared memory register request has no 'key' field, which is a string")
    file_name = file_name_of(key)
    if not _is_file_name(file_name):
        raise _invalid(f"cannot register shared memory region '{name}' - invalid shm key '{key[:256]}'")
    for prefix in _RESERVED:
        if file_name.startswith(prefix):
            raise _invalid(
                f"cannot register shared memory region '{name}' with key '{key}' as the key contains the "
                f"reserved prefix '{prefix}'"
            )
    for field, value in (("offset", offset), ("byte_size", byte_size)):
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _MAX_SIZE:
            raise _invalid(f"Shared memory register request: '{field}' must be a whole number, 0 or more")
    return Region(name, key, offset, byte_size)


def file_name_of(key: str) -> str:
    """A POSIX name is a file name that may have one slash before it."""
    return key.removeprefix("/")


def _is_file_name(name: str) -> bool:
    bad = name in ("", ".", "..") or "/" in name or "\0" in name
    return not bad and len(name.encode("utf-8", "surrogatepass")) <= _MAX_KEY_BYTES


def _invalid(detail: str) -> TriremeError:
    return TriremeError(Code.INVALID_ARGUMENT, detail)

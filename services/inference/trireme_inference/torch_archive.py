"""What lies in a torch model's zip archive, looked at before torch opens it.

`model.pt2` (torch.export, archive version 0, torch 2.9 to 2.13) has raw weights and JSON beside what its
loader would unpickle with Python or map as native code: sample inputs, weights and constants of the older
form, custom and opaque objects, AOTInductor libraries. Only the first two kinds are let through.

`model.pt` (TorchScript) has `data.pkl`, `constants.pkl` and, if it was traced, `traced_inputs.pkl`, which
torch's own unpickler in C++ reads: it knows tensors, plain containers and the classes of the archive's own
TorchScript, and refuses any other global. Its code is TorchScript, which may read and write files by three
operators; those are refused.

Python's zip reader and torch's must see the same archive: one root folder, no name twice (torch compares
names without case), the directory of entries at the very end and nowhere else, stored sizes that agree.
"""

from __future__ import annotations

import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from trireme_common.errors import SpecError

_MAX_TEXT_BYTES = 64 * 1024 * 1024
_MAX_ENTRIES = 200_000
_MAX_RATIO = 200
_RATIO_COUNTS_FROM_BYTES = 1024 * 1024
# Zip's end record in 64 bits, its locator, and the end record in 32 bits.
_ENDS = struct.Struct("<4sQHHLLQQQQ4sLQL4sHHHHLLH")

_PLAIN = r"archive_format|archive_version|byteorder|version|\.data/(version|serialization_id)"
_PT2 = re.compile(
    rf"({_PLAIN}|models/model\.json|data/weights/(weight_\d+|model_weights_config\.json)"
    r"|data/constants/(tensor_\d+|model_constants_config\.json)|extra/[\w./-]+)"
)
_PT2_SAMPLE = "data/sample_inputs/model.pt"
_SCRIPT = re.compile(
    rf"({_PLAIN}|(data|constants|traced_inputs)\.pkl|(data|constants|traced_inputs)/\d+"
    r"|code/[\w./]+\.py(\.debug_pkl)?|extra/[\w./-]+"
    r"|attributes\.pkl|model\.json)"
)
_FILE_OPERATORS = re.compile(rb"\b(from_file|load_tensor)\b|\bsave\s*\(|['\"]save['\"]|getattr\([^)\n]*\\")


class Archive:
    """An archive whose outer form was checked; `names` are those below its root folder."""

    def __init__(self, path: Path, zipped: zipfile.ZipFile) -> None:
        self.path = path
        self._zip = zipped
        self.entries = _by_name(path, zipped)

    @property
    def names(self) -> list[str]:
        return list(self.entries)

    def read(self, name: str) -> bytes:
        """The whole of a text entry. Raises SpecError where it is missing, too large or damaged."""
        entry = self.entries.get(name)
        if entry is None:
            raise SpecError(f"{self.path}: '{name}' is missing; this is no such archive")
        if entry.file_size > _MAX_TEXT_BYTES:
            raise SpecError(f"{self.path}: '{name}' is larger than {_MAX_TEXT_BYTES} bytes")
        try:
            return self._zip.read(entry)
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, RuntimeError) as error:
            raise SpecError(f"{self.path}: '{name}' is damaged") from error

    def texts(self, suffix: str) -> Iterator[tuple[str, bytes]]:
        """Name and content of every entry with that ending."""
        return ((name, self.read(name)) for name in self.names if name.endswith(suffix))


def open_archive(path: Path) -> Archive:
    """Checks the outer form of the zip at `path`. Raises SpecError for anything that is unlike what
    torch writes: links, paths that lead out, doubled names, encryption, bombs, several archives in one."""
    if path.is_symlink() and not path.resolve().is_relative_to(path.parent.resolve()):
        raise SpecError(f"{path}: a link that leads out of the version's directory")
    try:
        zipped = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, struct.error) as error:
        raise SpecError(f"{path}: not a whole zip archive, as torch writes it ({error})") from error
    _check_end(path)
    return Archive(path, zipped)


def check_program(archive: Archive) -> None:
    """Raises SpecError where a torch.export archive holds more than weights and JSON."""
    for name, entry in archive.entries.items():
        if name == _PT2_SAMPLE:
            if entry.file_size:
                raise SpecError(
                    f"{archive.path}: holds a pickle, '{name}', which is never loaded; save it again with "
                    "`program.example_inputs = None` before torch.export.save(program, ...)"
                )
        elif not _PT2.fullmatch(name):
            raise SpecError(
                f"{archive.path}: holds '{name}'; only weights and the program are loaded, "
                "neither pickled objects nor compiled code"
            )


def check_script(archive: Archive) -> None:
    """Raises SpecError where a TorchScript archive holds more than TorchScript, or touches files."""
    if "data.pkl" in archive.entries and "constants.pkl" not in archive.entries:
        raise SpecError(
            f"{archive.path}: no TorchScript archive but a pickle of torch.save, which is never loaded; save "
            "the model itself with torch.jit.save (.pt) or torch.export.save (.pt2)"
        )
    for name in archive.names:
        if not _SCRIPT.fullmatch(name):
            raise SpecError(f"{archive.path}: holds '{name}', which is no part of a TorchScript archive")
    if "data.pkl" not in archive.entries:
        raise SpecError(f"{archive.path}: no TorchScript archive (torch.jit.save writes one)")
    for name, code in archive.texts(".py"):
        found = _FILE_OPERATORS.search(code)
        if found:
            raise SpecError(
                f"{archive.path}: its code in '{name}' may read or write files ({found[0].decode()!r})"
            )


def _by_name(path: Path, zipped: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    entries = zipped.infolist()
    if not 0 < len(entries) <= _MAX_ENTRIES:
        raise SpecError(f"{path}: {len(entries)} entries in the archive, 1 to {_MAX_ENTRIES} are read")
    root = entries[0].filename.partition("/")[0]
    seen: set[str] = set()
    for entry in entries:
        _check_entry(path, entry, root)
        folded = entry.filename.casefold()
        if folded in seen:
            raise SpecError(f"{path}: the archive has {entry.filename!r} twice")
        seen.add(folded)
    return {entry.filename[len(root) + 1 :]: entry for entry in entries}


def _check_entry(path: Path, entry: zipfile.ZipInfo, root: str) -> None:
    # `orig_filename` is what stands in the file; Python cuts names at a NUL and turns backslashes.
    name = entry.orig_filename
    parts = name.split("/")
    if name != entry.filename or "\\" in name or "" in parts or ".." in parts or "." in parts:
        raise SpecError(f"{path}: the archive has an entry {name[:200]!r}, a path that leads elsewhere")
    if parts[0] != root or len(parts) < 2:
        raise SpecError(f"{path}: the archive has {name[:200]!r} outside of its folder {root!r}")
    if stat.S_ISLNK(entry.external_attr >> 16):
        raise SpecError(f"{path}: the archive's entry {name!r} is a symbolic link")
    if entry.flag_bits & 0x41 or entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise SpecError(f"{path}: the archive's entry {name!r} is encrypted or packed in another way")
    if entry.compress_type == zipfile.ZIP_STORED and entry.file_size != entry.compress_size:
        raise SpecError(f"{path}: the archive's entry {name!r} has two sizes")
    large = entry.file_size > _RATIO_COUNTS_FROM_BYTES
    if large and entry.file_size > _MAX_RATIO * max(1, entry.compress_size):
        raise SpecError(f"{path}: the archive's entry {name!r} unpacks to {entry.file_size} bytes, a bomb")


def _check_end(path: Path) -> None:
    """The directory, its end in 64 bits, the place of that and the end in 32 bits are the last things in
    the file, one behind the other, and agree: so no reader finds another directory than the others do."""
    size = path.stat().st_size
    with path.open("rb") as file:
        file.seek(max(0, size - _ENDS.size))
        tail = file.read()
    if len(tail) == _ENDS.size:
        wide_magic, _, _, _, _, _, _, total, length, offset, *rest = _ENDS.unpack(tail)
        place_magic, _, place, _, magic, _, _, _, total16, length32, offset32, comment = rest
        start = size - _ENDS.size
        if (
            (wide_magic, place_magic, magic) == (b"PK\6\6", b"PK\6\7", b"PK\5\6")
            and place == offset + length == start
            and total16 in (total, 0xFFFF)
            and length32 in (length, 0xFFFFFFFF)
            and offset32 in (offset, 0xFFFFFFFF)
            and comment == 0
        ):
            return
    raise SpecError(f"{path}: the archive does not end as torch ends one; save it with torch")

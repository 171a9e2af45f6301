"""Generates the package `trireme_protos` from the .proto files; with --check, compares instead."""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from importlib import resources
from pathlib import Path

from grpc_tools import protoc

PROTOS = Path(__file__).resolve().parent.parent / "protos"
PACKAGE = PROTOS / "trireme_protos"
SOURCES = sorted(path.relative_to(PROTOS) for path in PROTOS.rglob("*.proto"))
_IMPORT = re.compile(r"^from (trireme|inference)([\w.]*) import", re.MULTILINE)


def generate(output: Path) -> None:
    """Writes *_pb2.py and *_pb2.pyi below `output`, importable as trireme_protos.<path>."""
    well_known = resources.files("grpc_tools") / "_proto"
    arguments = ["protoc", f"-I{PROTOS}", f"-I{well_known}", f"--python_out={output}", f"--pyi_out={output}"]
    if protoc.main([*arguments, *map(str, SOURCES)]) != 0:
        raise SystemExit("protoc failed")
    for path in sorted(output.rglob("*_pb2.py*")):
        path.write_text(_IMPORT.sub(r"from trireme_protos.\1\2 import", path.read_text()))
        for folder in path.relative_to(output).parents:
            (output / folder / "__init__.py").touch()


def differing(fresh: Path) -> list[str]:
    """Names of generated files that are missing, stale or left over in the package."""
    names = {path.relative_to(root) for root in (fresh, PACKAGE) for path in root.rglob("*_pb2.py*")}
    return sorted(
        str(name)
        for name in names
        if not (fresh / name).is_file()
        or not (PACKAGE / name).is_file()
        or (fresh / name).read_bytes() != (PACKAGE / name).read_bytes()
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="exit 1 if the committed package is not fresh")
    if not parser.parse_args().check:
        PACKAGE.mkdir(exist_ok=True)
        generate(PACKAGE)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        generate(Path(folder))
        stale = differing(Path(folder))
    if stale:
        print("stale generated code, run `make generate`:", *stale, sep="\n  ", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())

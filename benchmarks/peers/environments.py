"""`python -m benchmarks.peers.environments [NAME ...]`: an environment of its own for each framework.

They are made under benchmarks/.peers, which git ignores; one that is there with the same pins is left as it
is. Exit code 1 where one could not be made, with the reason.
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

HOME = Path(__file__).resolve().parent.parent / ".peers"
_INSTALL_SECONDS = 1200.0
_STAMP, _FAILURE = "pins.sha256", "failure.txt"
# The runtime of all, and what the platform's own steps need there.
_COMMON = (
    "onnxruntime==1.31.1",
    "orjson==3.13.0",
    "protobuf>=6.33.5",
    "pydantic",
    "pydantic-settings",
    "PyYAML",
    "tokenizers",
    "pillow",
)
_EVENT_LOOP = ("uvloop==0.23.0", "httptools==0.9.0")

PINS: dict[str, tuple[str, ...]] = {
    "mosec": ("mosec==0.9.8",),
    "litserve": ("litserve==0.2.19", *_EVENT_LOOP),
    "bentoml": ("bentoml==1.4.39", *_EVENT_LOOP),
    # Its worker processes ask for an event loop in a way that later uvloops refuse.
    "mlserver": ("mlserver==1.7.1", "uvloop==0.21.0", "httptools==0.9.0"),
    "ray": ("ray[serve]==2.60.0", *_EVENT_LOOP),
    "pytriton": ("nvidia-pytriton==0.7.0",),
}
"""The frameworks, with the packages that each needs."""


def versions(names: Sequence[str]) -> dict[str, str]:
    """Packages and versions of the frameworks among `names`."""
    pins = [pin.partition("==") for name, (pin, *_) in PINS.items() if name in names]
    return {package: number for package, _, number in pins}


class PeerMissingError(Exception):
    """A framework is not installed here; the message says why."""


def interpreter(name: str, home: Path = HOME) -> Path:
    """Python of a framework's environment. Raises PeerMissingError."""
    directory = home / name
    if (directory / _STAMP).is_file() and (directory / _STAMP).read_text() == digest(PINS[name]):
        return directory / "bin" / "python"
    failure = directory / _FAILURE
    if failure.is_file():
        raise PeerMissingError(f"could not be installed: {failure.read_text('utf-8').strip()}")
    raise PeerMissingError("is not installed: `make bench-peers-install`")


def digest(pins: Sequence[str]) -> str:
    return hashlib.sha256("\n".join((*_COMMON, *pins, sys.version)).encode()).hexdigest()


def install(name: str, home: Path = HOME) -> None:
    """Makes the environment, unless it is there. Raises PeerMissingError with pip's last words."""
    try:
        interpreter(name, home)
    except PeerMissingError:
        pass
    else:
        return
    directory = home / name
    try:
        if not (directory / "bin" / "python").is_file():
            shutil.rmtree(directory, ignore_errors=True)
            _run([sys.executable, "-m", "venv", str(directory)])
        pip = [str(directory / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "--quiet"]
        _run([*pip, "install", *_COMMON, *PINS[name]])
    except (OSError, subprocess.SubprocessError) as error:
        directory.mkdir(parents=True, exist_ok=True)
        (directory / _FAILURE).write_text(_reason(error), "utf-8")
        raise PeerMissingError(f"could not be installed: {_reason(error)}") from error
    (directory / _FAILURE).unlink(missing_ok=True)
    (directory / _STAMP).write_text(digest(PINS[name]))


def _run(command: list[str]) -> None:
    subprocess.run(
        command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=_INSTALL_SECONDS
    )


def _reason(error: Exception) -> str:
    if isinstance(error, subprocess.CalledProcessError):
        errors = [line for line in error.stderr.decode("utf-8", "replace").splitlines() if "ERROR" in line]
        return " | ".join(errors[-3:]) or f"pip ended with {error.returncode}"
    return f"{type(error).__name__}: {error}"


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(PINS)} (default: all)")
    names = parser.parse_args(arguments).names or list(PINS)
    if unknown := [name for name in names if name not in PINS]:
        parser.error(f"no framework {', '.join(unknown)}; there are {', '.join(PINS)}")
    failed = 0
    for number, name in enumerate(names, 1):
        print(f"[{number}/{len(names)}] {name}: {' '.join(PINS[name])} ...", file=sys.stderr, flush=True)
        try:
            install(name)
            print(f"[{number}/{len(names)}] {name}: ready", file=sys.stderr, flush=True)
        except PeerMissingError as error:
            failed += 1
            print(f"[{number}/{len(names)}] {name} {error}", file=sys.stderr, flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

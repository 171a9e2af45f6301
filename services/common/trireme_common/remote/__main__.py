"""`python -m trireme_common.remote`: mirrors a model repository once, or writes the index of one.

Exit codes: 0 everything is there (with `--if-any`: any version is), 1 something is not, 2 usage.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from trireme_common.errors import SettingsError
from trireme_common.logs import configure_logs
from trireme_common.remote.cache import Cache
from trireme_common.remote.failure import SourceError, Stopped
from trireme_common.remote.http_index import write_index
from trireme_common.remote.mirror import Mirror, Passed
from trireme_common.remote.open_source import build_mirror
from trireme_common.remote.progress import LOG_SECONDS, Progress, for_stream, log_progress, reminded
from trireme_common.settings import ModelsSettings, load_settings

EXIT_FAILURE = 1
EXIT_USAGE = 2
_LOCK_SECONDS = 0.5


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; the exit code."""
    options = _parser().parse_args(arguments)
    if options.command == "index":
        return _index(options.directory)
    try:
        settings = _settings(options)
        writer = configure_logs("models-source", settings.log_level, settings.log_format)
        try:
            return _fetch(settings, options)
        finally:
            writer.close()
    except SettingsError as error:
        print(f"trireme-remote: {error.detail}", file=sys.stderr)
        return EXIT_USAGE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m trireme_common.remote", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    fetch = commands.add_parser("fetch", help="mirror a repository once; what was begun is continued")
    fetch.add_argument("--source", help="URL of the repository; TRIREME_MODELS_SOURCE by default")
    fetch.add_argument("--into", type=Path, help="cache directory; TRIREME_MODELS_DIR by default")
    fetch.add_argument("--models", help="names of models with commas between; all by default")
    fetch.add_argument("--json", action="store_true", help="one line of JSON on standard output at the end")
    fetch.add_argument(
        "--progress-seconds",
        type=float,
        default=LOG_SECONDS,
        metavar="SECONDS",
        help="pause between two lines of progress where standard error is no terminal; 10 by default",
    )
    fetch.add_argument("--timeout-seconds", type=float, default=0, help="give up after; 0 is never")
    fetch.add_argument(
        "--if-any", action="store_true", help="exit 0 also after a failure, where any version stands"
    )
    index = commands.add_parser("index", help="write repository.json, which an https:// source needs")
    index.add_argument("directory", type=Path, help="a model repository")
    return parser


def _settings(options: argparse.Namespace) -> ModelsSettings:
    """The environment's settings, with what the command line says instead. Raises SettingsError."""
    said = {
        "TRIREME_MODELS_SOURCE": options.source,
        "TRIREME_MODELS_DIR": options.into,
        "TRIREME_MODELS_SOURCE_MODELS": options.models,
    }
    for name, value in said.items():
        if value is not None:
            os.environ[name] = str(value)
    settings = load_settings(ModelsSettings)
    if not settings.models_source:
        raise SettingsError("say --source URL, or set TRIREME_MODELS_SOURCE")
    return settings


def _fetch(settings: ModelsSettings, options: argparse.Namespace) -> int:
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    if options.timeout_seconds:
        timer = threading.Timer(options.timeout_seconds, stop.set)
        timer.daemon = True
        timer.start()
    progress = for_stream(sys.stderr, log_progress, options.progress_seconds)
    said_by = "TRIREME_MODELS_SOURCE" if options.source is None else "--source"
    mirror, cache = build_mirror(settings, progress, stop, said_by)
    _check_writable(cache, "TRIREME_MODELS_DIR" if options.into is None else "--into")
    started = time.monotonic()
    reason, passed = "", Passed()
    try:
        with reminded(progress):
            passed = _run_locked(mirror, cache, stop)
    except SourceError as error:
        reason = error.detail
    except Stopped:
        reason = "stopped before the end; the next fetch continues"
    _report(passed, progress, reason, time.monotonic() - started, as_json=options.json)
    whole = not (reason or passed.failed)
    return 0 if whole or (options.if_any and cache.populated()) else EXIT_FAILURE


def _check_writable(cache: Cache, said_by: str) -> None:
    """Raises SettingsError, which names by what the directory was given."""
    try:
        with cache.lock():
            pass
    except OSError as error:
        raise SettingsError(f"{said_by}: {cache.directory} cannot be written: {error.strerror}") from error


def _run_locked(mirror: Mirror, cache: Cache, stop: threading.Event) -> Passed:
    """One pass, after any other process that mirrors into the same directory has ended its own."""
    told = False
    while True:
        with cache.lock() as mine:
            if mine:
                return mirror.run()
        if not told:
            print("another process mirrors into this directory; waiting for it", file=sys.stderr)
            told = True
        if stop.wait(_LOCK_SECONDS):
            raise Stopped


def _report(passed: Passed, progress: Progress, reason: str, seconds: float, *, as_json: bool) -> None:
    failed = {place: error.detail for place, error in passed.failed.items()}
    if as_json:
        result: dict[str, Any] = {
            "installed": passed.installed,
            "removed": passed.removed,
            "failed": failed,
            "reason": reason,
            "bytes": progress.bytes_received,
            "reused_bytes": progress.bytes_reused,
            "files": progress.files_done,
            "seconds": round(seconds, 3),
        }
        print(json.dumps(result, ensure_ascii=False), flush=True)
        return
    for place, detail in failed.items():
        print(f"failed: {place}: {detail}", file=sys.stderr)
    if reason:
        print(f"failed: {reason}", file=sys.stderr)
    print(
        f"{len(passed.installed)} installed, {len(passed.removed)} removed, {len(failed)} failed; "
        f"{progress.files_done} files, {progress.bytes_received:,} bytes downloaded, "
        f"{progress.bytes_reused:,} reused, {seconds:.1f} s",
        file=sys.stderr,
    )


def _index(directory: Path) -> int:
    try:
        count = write_index(directory)
    except (SourceError, OSError) as error:
        print(f"failed: {error}", file=sys.stderr)
        return EXIT_FAILURE
    print(f"{count} files listed in {directory / 'repository.json'}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())

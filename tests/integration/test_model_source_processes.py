"""The command that fetches a repository, and stages that follow one, as processes of their own."""

from __future__ import annotations

import asyncio
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest

from tests.support.file_site import FileSite
from tests.support.stage_process import free_port, running

WEIGHTS = random.Random(5).randbytes(3_000_000)
DIGITS = Path(__file__).resolve().parents[2] / "models" / "digits"


@pytest.fixture
def site() -> Iterator[FileSite]:
    served = FileSite({"alpha/model.yaml": b"name: alpha\n", "alpha/1/model.onnx": WEIGHTS})
    with served.server.running():
        yield served


@pytest.fixture
def digits() -> Iterator[FileSite]:
    """The model that ships, as version 1."""
    files = {
        f"digits/{path.relative_to(DIGITS).as_posix()}": path.read_bytes()
        for path in DIGITS.rglob("*")
        if path.is_file() and path.suffix != ".py"
    }
    served = FileSite(files)
    with served.server.running():
        yield served


def start_fetch(*arguments: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "trireme_common.remote", "fetch", *arguments],
        env={**os.environ, "TRIREME_MODELS_SOURCE_ALLOW_HTTP": "true", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Exit code, standard output, standard error."""
    out, errors = process.communicate(timeout=60)
    return process.returncode, out, errors


def bytes_begun(directory: Path) -> int:
    """Bytes of the files that are on their way."""
    return sum(path.stat().st_size for path in (directory / ".trireme").glob("staging/*/*.onnx"))


def wait_for(condition: object, seconds: float = 20.0) -> None:
    """Polls until `condition()` holds."""
    end = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(0.02)


def test_a_fetch_that_is_killed_half_way_is_continued_by_the_next(site: FileSite, tmp_path: Path) -> None:
    site.server.cuts = [2_000_000]
    site.server.stalled.set()
    first = start_fetch("--source", site.url, "--into", str(tmp_path))
    wait_for(lambda: bytes_begun(tmp_path) == 2_000_000)
    first.kill()
    first.communicate()
    assert not (tmp_path / "alpha").exists()
    site.server.stalled.clear()

    code, out, errors = finish(start_fetch("--source", site.url, "--into", str(tmp_path), "--json"))

    assert code == 0, errors
    result = json.loads(out)
    assert result["installed"] == ["alpha/1"]
    assert result["bytes"] == 1_000_000
    assert result["reused_bytes"] == 2_000_000 + len(b"name: alpha\n")
    assert (tmp_path / "alpha/1/model.onnx").read_bytes() == WEIGHTS
    assert [request.headers.get("range") for request in site.server.asked("model.onnx")] == [
        None,
        "bytes=2000000-",
    ]


def test_of_two_fetches_into_one_directory_one_downloads(site: FileSite, tmp_path: Path) -> None:
    site.server.cuts = [2_000_000]
    site.server.stalled.set()
    both = [start_fetch("--source", site.url, "--into", str(tmp_path), "--json")]
    wait_for(lambda: bytes_begun(tmp_path) > 0)
    both.append(start_fetch("--source", site.url, "--into", str(tmp_path), "--json"))
    assert both[1].stderr is not None
    assert "another process" in both[1].stderr.readline()
    site.server.stalled.clear()

    results = [finish(process) for process in both]

    assert [code for code, _, _ in results] == [0, 0]
    assert [json.loads(out)["installed"] for _, out, _ in results] == [["alpha/1"], []]
    assert site.server.body_bytes == sum(map(len, site.files.values()))


def test_exit_codes_and_what_is_told(site: FileSite, tmp_path: Path) -> None:
    site.authorization = "Bearer right"
    secret = {"TRIREME_MODELS_SOURCE_PASSWORD": "s3cret"}
    denied = start_fetch("--source", site.url, "--into", str(tmp_path), **secret)
    gone = start_fetch("--source", f"http://127.0.0.1:{free_port()}/repo/", "--into", str(tmp_path / "b"))
    nowhere = start_fetch("--into", str(tmp_path / "c"))
    in_the_url = start_fetch("--source", "https://me:s3cret@example.invalid/", "--into", str(tmp_path / "d"))

    results = [finish(process) for process in (denied, gone, nowhere, in_the_url)]

    assert [code for code, _, _ in results] == [1, 1, 2, 2]
    assert "401" in results[0][2]
    assert "TRIREME_MODELS_SOURCE" in results[2][2]
    assert not any("s3cret" in out + errors for _, out, errors in results)


def test_with_if_any_a_failure_counts_only_where_no_version_stands(site: FileSite, tmp_path: Path) -> None:
    code, _, errors = finish(start_fetch("--source", site.url, "--into", str(tmp_path / "filled")))
    assert code == 0, errors
    site.authorization = "Bearer right"
    fetches = [
        start_fetch("--source", site.url, "--into", str(tmp_path / into), *options)
        for into, *options in (("filled", "--if-any"), ("filled",), ("empty", "--if-any"))
    ]

    results = [finish(process) for process in fetches]

    assert [code for code, _, _ in results] == [0, 1, 1]
    assert all("401" in errors for _, _, errors in results)


async def test_a_stage_waits_for_its_source_and_then_follows_it(digits: FileSite, tmp_path: Path) -> None:
    digits.authorization = "Bearer later"
    metrics = free_port()

    async def admit() -> None:
        """Lets the stage in after it has been refused twice."""
        while len(digits.server.requests) < 2:
            await asyncio.sleep(0.02)
        digits.authorization = ""

    admitted = asyncio.create_task(admit())
    async with running(
        "preprocess",
        tmp_path / "cache",
        tmp_path / "log",
        **followed(digits),
        TRIREME_PREPROCESS_METRICS_PORT=str(metrics),
    ):
        assert admitted.done()  # ready no earlier than there was something to serve
        assert await ready_versions(metrics) >= {"1"}
        digits.files.update(
            {path.replace("/1/", "/2/"): body for path, body in digits.files.items() if "/1/" in path}
        )
        async with asyncio.timeout(20):
            while "2" not in await ready_versions(metrics):
                await asyncio.sleep(0.05)
    log = (tmp_path / "log").read_text()
    assert "models_source_failed" in log
    assert "model_mirrored" in log


async def test_a_stage_serves_its_cache_while_the_source_is_gone(digits: FileSite, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    code, _, errors = finish(start_fetch("--source", digits.url, "--into", str(cache)))
    assert code == 0, errors
    digits.authorization = "Bearer never"
    metrics = free_port()

    async with running(
        "preprocess",
        cache,
        tmp_path / "log",
        **followed(digits),
        TRIREME_PREPROCESS_METRICS_PORT=str(metrics),
    ):
        assert await ready_versions(metrics) == {"1"}
        async with asyncio.timeout(20):
            while 'trireme_models_source_failures_total{kind="denied"} 0.0' in await scrape(metrics):
                await asyncio.sleep(0.05)
        assert "trireme_models_source_reached 0.0" in await scrape(metrics)
    assert "models_source_failed" in (tmp_path / "log").read_text()


def followed(site: FileSite) -> dict[str, str]:
    """The settings of a stage that follows `site`."""
    return {
        "TRIREME_MODELS_SOURCE": site.url,
        "TRIREME_MODELS_SOURCE_ALLOW_HTTP": "true",
        "TRIREME_MODELS_SOURCE_POLL_SECONDS": "0.2",
    }


async def scrape(port: int) -> str:
    async with httpx.AsyncClient() as client:
        return (await client.get(f"http://127.0.0.1:{port}/metrics")).text


async def ready_versions(port: int) -> set[str]:
    """Versions of digits that the stage has READY."""
    prefix = 'trireme_model_ready{model="digits",version="'
    lines = (line for line in (await scrape(port)).splitlines() if line.startswith(prefix))
    return {line.removeprefix(prefix).partition('"')[0] for line in lines if line.endswith(" 1.0")}


async def test_of_two_stages_with_one_cache_one_mirrors_and_the_other_takes_over(
    digits: FileSite, tmp_path: Path
) -> None:
    ports = [free_port(), free_port()]
    stages = [
        running(
            "preprocess",
            tmp_path / "cache",
            tmp_path / f"log-{port}",
            **followed(digits),
            TRIREME_PREPROCESS_METRICS_PORT=str(port),
        )
        for port in ports
    ]
    async with AsyncExitStack() as stack:
        async with stages[0]:
            await stack.enter_async_context(stages[1])
            assert await ready_versions(ports[1]) == {"1"}
            assert "trireme_models_source_bytes_total 0.0" in await scrape(ports[1])
            assert digits.server.body_bytes == sum(map(len, digits.files.values()))
        digits.files["digits/2/model.onnx"] = digits.files["digits/1/model.onnx"]
        async with asyncio.timeout(20):
            while "2" not in await ready_versions(ports[1]):
                await asyncio.sleep(0.05)
    assert "model_mirrored" in (tmp_path / f"log-{ports[1]}").read_text()


async def test_a_cache_that_cannot_be_written_stops_the_stage_with_the_reason(
    digits: FileSite, tmp_path: Path
) -> None:
    (tmp_path / "cache").write_text("a file")
    environment = {**os.environ, **followed(digits), "TRIREME_MODELS_DIR": str(tmp_path / "cache")}
    stage = subprocess.Popen(
        [sys.executable, "-m", "trireme_preprocess"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    code, _, errors = finish(stage)
    assert code == 2
    assert "TRIREME_MODELS_DIR" in errors


def test_without_a_terminal_the_log_has_lines_of_progress(site: FileSite, tmp_path: Path) -> None:
    site.server.cuts = [1_500_000]
    site.server.stalled.set()
    fetch = start_fetch(
        "--source", site.url, "--into", str(tmp_path), "--progress-seconds", "0.2", TRIREME_LOG_FORMAT="json"
    )
    assert fetch.stderr is not None
    lines: list[dict[str, object]] = []
    while not lines or lines[-1].get("bytes_per_second") != 0:  # nothing arrives any more, and that is told
        line = json.loads(fetch.stderr.readline())
        lines += [line] if line["event"] == "models_source_progress" else []
    last = lines[-1]
    total = sum(map(len, site.files.values()))
    assert last["bytes_total"] == total
    assert last["percent"] == round(last["bytes"] / total * 100, 1)
    assert 49 < last["percent"] < 51
    assert (last["files"], last["files_total"]) == (1, 2)
    site.server.stalled.clear()
    code, _, errors = finish(fetch)
    assert code == 0, errors
    assert "1 installed" in errors


def test_what_is_wrong_is_told_by_the_name_under_which_it_was_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    by_option = start_fetch("--source", "ftp://x", "--into", str(tmp_path / "a"))
    by_variable = start_fetch("--into", str(tmp_path / "a"), TRIREME_MODELS_SOURCE="ftp://x")
    nowhere = start_fetch("--source", "file:///", "--into", str(tmp_path / "file" / "b"))
    results = [finish(process) for process in (by_option, by_variable, nowhere)]
    assert [code for code, _, _ in results] == [2, 2, 2]
    assert "--source: not a URL" in results[0][2]
    assert "TRIREME_MODELS_SOURCE: not a URL" in results[1][2]
    assert "--into: " in results[2][2]
    assert "cannot be written" in results[2][2]

"""Downloads continue one another, end on demand, and are verified."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Generator, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trireme_common.remote.download import Downloader
from trireme_common.remote.failure import Kind, SourceError, Stopped
from trireme_common.remote.progress import Progress
from trireme_common.remote.source import Content, RemoteFile

BODY = bytes(range(256)) * 400


class FlakySource:
    """Gives `body` in small blocks and breaks each connection after the next of `cuts` bytes."""

    name = "flaky"

    def __init__(self, body: bytes, cuts: Sequence[int] = (), *, resumable: bool = True) -> None:
        self.body = body
        self.cuts = list(cuts)
        self.resumable = resumable
        self.offsets: list[int] = []
        self.before_block = lambda: None

    def list_files(self) -> Sequence[RemoteFile]:
        return [remote(self.body)]

    def open(self, file: RemoteFile, offset: int) -> Content:
        self.offsets.append(offset)
        start = offset if self.resumable else 0
        return Content(start, self._blocks(start, self.cuts.pop(0) if self.cuts else None))

    def _blocks(self, start: int, cut: int | None) -> Generator[bytes, None, None]:
        given_bytes = self.body[start:] if cut is None else self.body[start : start + cut]
        for begin in range(0, len(given_bytes), 1000):
            self.before_block()
            yield given_bytes[begin : begin + 1000]
        if cut is not None and start + cut < len(self.body):
            raise SourceError(Kind.UNREACHABLE, "reset")


def remote(body: bytes) -> RemoteFile:
    return RemoteFile("a/1/m", len(body), "sha256:" + hashlib.sha256(body).hexdigest())


def downloader(source: FlakySource, stop: threading.Event | None = None) -> tuple[Downloader, Progress]:
    progress = Progress(lambda _: None)
    return Downloader(source, progress, stop or threading.Event(), wait=lambda _: False), progress


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=20)
@given(cuts=st.lists(st.integers(20_000, 60_000), max_size=3), begun=st.integers(0, len(BODY)))
def test_cut_anywhere_and_begun_anywhere_every_byte_comes_once(
    cuts: list[int], begun: int, tmp_path: Path
) -> None:
    target = tmp_path / "m"
    target.write_bytes(BODY[:begun])
    source = FlakySource(BODY, cuts)
    fetcher, progress = downloader(source)

    fetcher.fetch(remote(BODY), target)

    assert target.read_bytes() == BODY
    assert progress.bytes_received == len(BODY) - begun
    assert progress.bytes_reused == begun


def test_bad_bytes_of_an_earlier_process_are_dropped_once(tmp_path: Path) -> None:
    target = tmp_path / "m"
    target.write_bytes(b"x" * 500)
    source = FlakySource(BODY)
    downloader(source)[0].fetch(remote(BODY), target)
    assert target.read_bytes() == BODY
    assert source.offsets == [500, 0]


def test_content_with_another_digest_is_corrupt_and_does_not_stay(tmp_path: Path) -> None:
    target = tmp_path / "m"
    with pytest.raises(SourceError) as refused:
        downloader(FlakySource(BODY[::-1]))[0].fetch(remote(BODY), target)
    assert refused.value.kind is Kind.CORRUPT
    assert not target.exists()


def test_more_bytes_than_listed_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="longer") as refused:
        downloader(FlakySource(BODY + b"more"))[0].fetch(remote(BODY), tmp_path / "m")
    assert refused.value.kind is Kind.CHANGED


def test_a_source_that_cannot_continue_is_read_from_the_start(tmp_path: Path) -> None:
    source = FlakySource(BODY, [50_000], resumable=False)
    downloader(source)[0].fetch(remote(BODY), tmp_path / "m")
    assert (tmp_path / "m").read_bytes() == BODY
    assert source.offsets == [0, 50_000]


def test_attempts_that_bring_nothing_are_bounded(tmp_path: Path) -> None:
    source = FlakySource(BODY, [0] * 50)
    with pytest.raises(SourceError, match="reset"):
        downloader(source)[0].fetch(remote(BODY), tmp_path / "m")
    assert len(source.offsets) == 6


def test_attempts_that_bring_no_more_than_earlier_ones_are_bounded(tmp_path: Path) -> None:
    source = FlakySource(BODY, [20_000, 60_000] * 50, resumable=False)
    with pytest.raises(SourceError, match="reset"):
        downloader(source)[0].fetch(remote(BODY), tmp_path / "m")
    # Two bring it further than any before.
    assert len(source.offsets) == 2 + 6


def test_a_stop_ends_the_download_and_keeps_what_came(tmp_path: Path) -> None:
    stop = threading.Event()
    source = FlakySource(BODY)
    blocks = iter(range(100_000))
    source.before_block = lambda: stop.set() if next(blocks) == 10 else None
    with pytest.raises(Stopped):
        downloader(source, stop)[0].fetch(remote(BODY), tmp_path / "m")
    assert (tmp_path / "m").read_bytes() == BODY[:10_000]


def test_an_empty_file_needs_no_request(tmp_path: Path) -> None:
    source = FlakySource(b"")
    downloader(source)[0].fetch(remote(b""), tmp_path / "deep" / "m")
    assert (tmp_path / "deep" / "m").read_bytes() == b""
    assert not source.offsets


def test_a_file_that_is_here_is_taken_and_one_that_has_changed_meanwhile_is_fetched(tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    for content, requests in ((BODY, []), (BODY[::-1], [0])):
        mine.write_bytes(content)
        source = FlakySource(BODY)
        downloader(source)[0].take(remote(BODY), mine, tmp_path / "m")
        assert (tmp_path / "m").read_bytes() == BODY
        assert mine.read_bytes() == content
        assert source.offsets == requests

"""What is shown of a download, and how often."""

from __future__ import annotations

import io
import threading

from trireme_common.remote.progress import Progress, bar, for_stream, reminded


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_it_is_shown_no_more_often_than_asked() -> None:
    now = [0.0]
    shown: list[int] = []
    progress = Progress(lambda it: shown.append(it.bytes_received), 10.0, clock=lambda: now[0])
    for _ in range(25):
        now[0] += 1.0
        progress.received(100)
    assert shown == [1000, 2000]


def test_a_terminal_sees_a_bar_and_a_pipe_sees_lines() -> None:
    terminal, lines = Terminal(), list[Progress]()
    progress = for_stream(terminal, lines.append)
    progress.planned(2, 4 * 2**20)
    progress.received(2**20)
    bar(terminal)(progress)
    assert "25% 1.0/4.0 MiB, 0/2 files" in terminal.getvalue()
    assert not lines


def test_a_download_that_stands_still_is_shown_too() -> None:
    now = [0.0]
    shown: list[tuple[float, float]] = []
    progress = Progress(lambda it: shown.append((it.part, it.bytes_per_second)), 5.0, clock=lambda: now[0])
    progress.planned(1, 1000)
    now[0] = 4.0
    progress.remind()
    assert not shown
    progress.reused(250)
    now[0] = 10.0
    progress.received(500)
    now[0] = 20.0
    progress.remind()
    assert shown == [(0.75, 50.0), (0.75, 0.0)]


def test_a_thread_reminds_until_the_end() -> None:
    told = threading.Event()
    progress = Progress(lambda _: told.set(), 0.0)
    with reminded(progress, 0.001):
        assert told.wait(10)
    told.clear()
    assert not [thread for thread in threading.enumerate() if thread.name == "progress"]

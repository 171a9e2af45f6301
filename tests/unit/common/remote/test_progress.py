"""What is shown of a download, and how often."""

from __future__ import annotations

import io

from trireme_common.remote.progress import Progress, bar, for_stream


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

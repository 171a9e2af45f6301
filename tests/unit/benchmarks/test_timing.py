"""Where the time and the memory went, as the server and the kernel say it."""

from __future__ import annotations

import pytest

from benchmarks.load.process_tree import program_of, pss_of
from benchmarks.load.timing import median_timings
from trireme_cli.loadtest.server_timing import PARTS, parts_of


def head(value: str) -> bytes:
    return f"HTTP/1.1 200 OK\r\nServer-Timing: {value}\r\nx-cache: off\r\n".encode()


STAGES = "preprocess;dur=1.000, inference;dur=2.500, queue;dur=0.500, postprocess;dur=0.250, total;dur=5.000"


def test_parts_add_up_to_the_total() -> None:
    parts = parts_of(head(STAGES))
    assert parts == {
        "preprocess": 1.0,
        "queue": 0.5,
        "inference": 2.0,
        "postprocess": 0.25,
        "gateway": 1.25,
        "total": 5.0,
    }
    assert sum(parts[name] for name in PARTS[:-1]) == parts["total"]


def test_medians_are_of_each_part_over_the_answers() -> None:
    others = [head("total;dur=1.000"), head("total;dur=2.000")]
    found = median_timings([head(STAGES), *others])
    assert (found["total"], found["gateway"], found["preprocess"]) == (2.0, 1.25, 0.0)


def test_servers_that_say_nothing_have_no_parts() -> None:
    assert median_timings([b"HTTP/1.1 200 OK\r\nx-cache: off\r\n"]) == {}
    assert median_timings([]) == {}


def test_pss_in_megabytes() -> None:
    assert pss_of("00400000-7ffe ---p 0 00:00 0 [rollup]\nRss: 900 kB\nPss:   1000 kB\n") == 1.024
    with pytest.raises(ValueError, match="Pss"):
        pss_of("Rss: 900 kB\n")


@pytest.mark.parametrize(
    ("command", "program"),
    [
        (["/venv/bin/python", "-m", "trireme_gateway"], "trireme_gateway"),
        (["python", "-m", "benchmarks.peers.in_process", "--models", "m"], "in_process"),
        (["/usr/bin/redis-server unixsocket:/tmp/redis.sock"], "redis-server"),
        ([], "?"),
    ],
)
def test_programs_by_their_names(command: list[str], program: str) -> None:
    assert program_of(command) == program

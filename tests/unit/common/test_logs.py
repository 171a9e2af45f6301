from __future__ import annotations

import fcntl
import json
import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator

import pytest

from trireme_common.logs import DROPPED, LineWriter, format_trace


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reader, writer = os.pipe()
    yield reader, writer
    os.close(reader)
    os.close(writer)


def test_lines_arrive_whole_and_in_order(pipe: tuple[int, int]) -> None:
    reader, descriptor = pipe
    writer = LineWriter(descriptor)
    lines = [b"%d\n" % number for number in range(500)]
    for line in lines:
        writer.write_line(line)
    writer.close()
    assert os.read(reader, 65536) == b"".join(lines)
    writer.close()


def test_a_reader_that_stopped_stops_nobody(pipe: tuple[int, int]) -> None:
    reader, descriptor = pipe
    before = DROPPED.collect()[0].samples[0].value
    writer = LineWriter(descriptor)
    for _ in range(30_000):
        writer.write_line(b"x" * 99 + b"\n")
    dropped = DROPPED.collect()[0].samples[0].value - before
    assert 0 < dropped < 30_000
    kept = (30_000 - int(dropped)) * 100
    while kept:  # what was kept comes as soon as somebody reads again
        kept -= len(os.read(reader, kept))
    writer.close()


def test_a_descriptor_that_somebody_made_non_blocking_is_waited_for(pipe: tuple[int, int]) -> None:
    reader, descriptor = pipe
    os.set_blocking(descriptor, False)
    size = fcntl.fcntl(descriptor, fcntl.F_GETPIPE_SZ)
    writer = LineWriter(descriptor)
    line = b"x" * 999 + b"\n"
    count = 3 * size // len(line)
    for _ in range(count):
        writer.write_line(line)
    received = b""
    while len(received) < count * len(line):
        received += os.read(reader, 65536)
    assert received == line * count
    writer.close()


def lines_of(program: str) -> list[dict[str, object]]:
    """What a process writes that sets up logging and runs `program`."""
    start = "from trireme_common.logs import configure_logs\nimport logging, structlog\n"
    code = (
        start
        + "configure_logs('toy', 'info', 'json')\nlog = structlog.get_logger('x')\n"
        + textwrap.dedent(program)
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60, check=True)
    assert not done.stdout
    return [json.loads(line) for line in done.stderr.splitlines()]


def test_a_line_is_one_json_object() -> None:
    plain, foreign, failure, odd = lines_of(
        """
        log.debug("unseen")
        log.info("seen", answer=42, text="好\\n")
        logging.getLogger("library").warning("from %s", "outside")
        try:
            1 / 0
        except ZeroDivisionError:
            log.exception("failed")
        log.info("odd", name="\\udcff", large=2**70)
        """
    )
    assert plain["event"] == "seen"
    assert (plain["level"], plain["service"], plain["answer"], plain["text"]) == ("info", "toy", 42, "好\n")
    assert "timestamp" in plain
    assert (foreign["event"], foreign["level"]) == ("from outside", "warning")
    assert "ZeroDivisionError" in str(failure["exception"])
    assert (odd["name"], odd["large"]) == ("\udcff", 2**70)


def test_a_trace_names_the_type_and_the_frames_but_not_the_message() -> None:
    try:
        raise ValueError("what the caller sent")
    except ValueError as error:
        event = format_trace(None, "error", {"event": "request_failed", "exc_info": error})
    assert event["exception"] == "ValueError"
    assert "test_logs.py" in event["trace"]
    assert "what the caller sent" not in json.dumps({**event, "trace": ""})
    assert "exc_info" not in event


def test_the_exception_being_handled_is_found() -> None:
    try:
        raise KeyError("x")
    except KeyError:
        event = format_trace(None, "error", {"event": "failed", "exc_info": True})
    assert event["exception"] == "KeyError"
    assert format_trace(None, "info", {"event": "fine"}) == {"event": "fine"}


def test_severities_are_switched_while_loggers_live() -> None:
    lines = lines_of(
        """
        from trireme_common.logs import log_switch
        def say():
            for level in ("debug", "info", "warning", "error", "critical"):
                getattr(log, level)(level)
        say()
        log_switch().set_levels({"debug", "warning"})
        say()
        structlog.get_logger("fresh").info("unseen")
        logging.getLogger("library").error("unseen")
        log.exception("unseen")
        log_switch().set_levels({"info"})
        say()
        """
    )
    assert [line["event"] for line in lines] == [
        *("info", "warning", "error", "critical"),
        *("debug", "warning"),
        "info",
    ]


def test_lines_can_be_text_and_still_are_one_line_each() -> None:
    program = """
        from trireme_common.logs import configure_logs, log_switch
        import structlog
        configure_logs("toy", "info", "json")
        log = structlog.get_logger("x")
        log_switch().set_text(True)
        log.warning("seen", text="two\\nlines", none=None, count=3)
        try:
            1 / 0
        except ZeroDivisionError:
            log.exception("failed")
        log_switch().set_text(False)
        log.info("json")
        """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, timeout=60, check=True
    )
    text, failed, last = done.stderr.decode().splitlines()
    assert re.fullmatch(
        r'\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z W toy seen text="two\\nlines" none=null count=3', text
    )
    assert re.search(r' E toy failed exception="ZeroDivisionError" trace="', failed)
    assert json.loads(last)["event"] == "json"


def test_a_process_without_logs_of_its_own_has_a_switch_without_effect() -> None:
    program = """
        import structlog
        from trireme_common.logs import log_switch
        log_switch().set_levels(())
        log_switch().set_text(True)
        structlog.get_logger().info("seen")
        """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, timeout=60, check=True
    )
    assert b"seen" in done.stdout

"""One server asked: windows by the load generator, settings that are tried, and the best of them."""

from __future__ import annotations

import os
import random
import socket
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.figures import Sample
from benchmarks.inference.asking import Up, ask, best_setting, running, trials
from benchmarks.inference.doors import http_answers
from benchmarks.inference.servers import Server, Started
from benchmarks.load.pace import SEED
from benchmarks.load.questions import Questions
from benchmarks.peers.catalog import Setting, free_ports
from benchmarks.peers.running import Launch
from benchmarks.servers import ServerError
from benchmarks.window import Window
from trireme_cli.loadtest.http import build_request

VALUES = (0.5, -2.0, 4.0)
QUESTIONS = Questions("http", "m", (build_request("/", "application/octet-stream", b"1"),), (VALUES,))
SETTING = Setting(1, 1, 1)
SHORT = Window(0.0, 0.2)
# Answers every request, whose body is one byte, with the values of the second argument.
PROGRAM = """
import socketserver, sys

body = bytes.fromhex(sys.argv[2])
answer = b"HTTP/1.1 200 OK\\r\\ncontent-length: %d\\r\\n\\r\\n" % len(body) + body

class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        while self.rfile.readline():
            while self.rfile.readline() != b"\\r\\n":
                pass
            self.rfile.read(1)
            self.wfile.write(answer)

class Server(socketserver.ThreadingTCPServer):
    daemon_threads, request_queue_size = True, 128

Server(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


def constant(directory: Path) -> Server:
    (port,) = free_ports(1)
    body = np.array(VALUES, "<f4").tobytes().hex()
    launch = Launch(
        "constant",
        (sys.executable, "-c", PROGRAM, str(port), body),
        os.environ,
        directory / "work",
        lambda: http_answers(QUESTIONS, port),
    )
    return Server("constant", [SETTING], QUESTIONS, lambda setting: Started(launch, port))


def arrivals(rate: float, seconds: float, seed: int) -> int:
    draw, number = random.Random(seed), 0
    at = draw.expovariate(rate)
    while at < seconds:
        number, at = number + 1, at + draw.expovariate(rate)
    return number


def sample(rate: float, cpu_us: float) -> Sample:
    """One second of load."""
    number = round(rate)
    return Sample(number, 1.0, 5.0, 10.0, {"server": number * cpu_us / 1e6}, 0.1)


def test_the_seed_of_an_open_loop_says_when_requests_arrive(tmp_path: Path) -> None:
    drawn, usual = (arrivals(400, SHORT.seconds, seed) for seed in (7, SEED))
    assert drawn != usual
    with running(constant(tmp_path), SETTING, tmp_path) as up:
        taken = ask(up, SHORT, callers=4, rate=400, seed=7)
    assert taken.sample.requests == len(taken.latencies_ms) == drawn
    assert taken.latencies_ms == sorted(taken.latencies_ms)
    assert taken.sample.p50_ms in (pytest.approx(each, abs=1e-3) for each in taken.latencies_ms)


def test_a_setting_is_tried_with_the_server_up_for_it_alone(tmp_path: Path) -> None:
    server, told = constant(tmp_path), list[str]()
    tried = dict(trials(server, {"a setting": SETTING}, tmp_path, SHORT, told.append))
    assert tried["a setting"].requests >= 64
    assert told == ["m: constant, trying a setting"]
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", server.start(SETTING).port))


def test_what_the_load_generator_found_wrong_is_said(tmp_path: Path) -> None:
    QUESTIONS.write(tmp_path / "questions.json")
    (port,) = free_ports(1)
    with pytest.raises(ServerError, match=r"2 at a time, open loop: .*Connect"):
        ask(Up(tmp_path / "questions.json", port, os.getpid()), SHORT, callers=2, rate=10)


def test_the_best_setting_is_the_fastest() -> None:
    assert best_setting({"slow": sample(90, 10), "fast": sample(100, 30)}) == "fast"


def test_of_settings_as_fast_the_one_that_takes_less_cpu_is_best() -> None:
    assert best_setting({"a": sample(100, 30), "b": sample(99, 20), "c": sample(97, 10)}) == "b"


def test_nothing_tried_has_no_best() -> None:
    with pytest.raises(ValueError, match="empty"):
        best_setting({})

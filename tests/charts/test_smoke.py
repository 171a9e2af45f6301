"""The test of a release (`helm test`): how long it waits, and what its script says."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.charts import helm
from tests.charts.objects import env, of_kind


def test_the_test_of_a_release_waits_longer_than_the_gateway() -> None:
    values = {"gateway": {"requestTimeoutSeconds": 300}, "defaults": {"shutdown": {"drainSeconds": 310}}}
    (smoke,) = of_kind(helm.manifests(values), "Pod")
    waits = int(env(smoke["spec"]["containers"][0])["TRIREME_SMOKE_TIMEOUT_SECONDS"])
    assert waits > 300
    assert smoke["spec"]["activeDeadlineSeconds"] > 120 + 2 * waits


class _Server(ThreadingHTTPServer):
    """In a gateway's place: ready at once; predicts, the second time from the cache, or is `silent`."""

    daemon_threads = True

    def __init__(self, silent: bool) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.ended = threading.Event()
        self.silent = silent
        self.asked: list[str] = []


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        self._answer({"ready": True})

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.server.asked.append(self.path)
        if self.server.silent:
            self.server.ended.wait()
            return
        result = {"label": "good", "confidence": 0.9, "probabilities": {"good": 0.9, "bad": 0.1}}
        self._answer({"results": [result]}, cache="hit" if len(self.server.asked) > 1 else "miss")

    def _answer(self, content: dict[str, Any], cache: str = "") -> None:
        body = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        if cache:
            self.send_header("x-cache", cache)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the test reads what the script says."""


def _smoke(silent: bool, **settings: str) -> tuple[subprocess.CompletedProcess[str], list[str]]:
    """What the test's script says of such a gateway, and what it asked."""
    with _Server(silent) as server:
        serving = threading.Thread(target=server.serve_forever, args=(0.01,))
        serving.start()
        settings["TRIREME_SMOKE_ADDRESS"] = f"127.0.0.1:{server.server_address[1]}"
        script = [sys.executable, "-c", (helm.CHART / "files" / "smoke.py").read_text()]
        said = subprocess.run(script, env=settings, capture_output=True, text=True, timeout=60, check=False)
        server.ended.set()
        server.shutdown()
        serving.join()
    return said, server.asked


def test_the_script_asks_twice_and_wants_the_second_answer_from_the_cache() -> None:
    said, asked = _smoke(False, TRIREME_SMOKE_TIMEOUT_SECONDS="30", TRIREME_SMOKE_MODEL="a/b")
    assert (said.returncode, said.stderr) == (0, "")
    assert asked == ["/predict?model=a/b"] * 2
    assert "second answer: from the cache" in said.stdout


def test_the_script_says_when_nothing_was_answered_in_time() -> None:
    said, _ = _smoke(True, TRIREME_SMOKE_TIMEOUT_SECONDS="0.2")
    assert said.returncode == 1
    assert re.fullmatch(r"/predict gave no answer, with 0\.2 s to give one: TimeoutError.*\n", said.stderr)

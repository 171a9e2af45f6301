"""`trireme models load | unload | rollback` against a gateway that is a few lines of HTTP."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import pytest

from trireme_cli.app import run
from trireme_cli.up.ports import PortAllocator


class Gateway(BaseHTTPRequestHandler):
    """Answers what `answers` says; remembers what it was asked."""

    asked: ClassVar[list[tuple[str, str, str]]] = []
    answers: ClassVar[dict[str, tuple[int, Any]]] = {}

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0)).decode()
        self.asked.append((self.command, self.path, body))
        status, content = self.answers.get(
            self.path, (404, {"error": "unknown model 'm'; the repository has n"})
        )
        data = json.dumps(content).encode() if content is not None else b"plain words"
        self.send_response(status)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_DELETE = _answer

    def log_message(self, *_: Any) -> None:
        """Says nothing."""


@pytest.fixture
def url() -> Iterator[str]:
    Gateway.asked.clear()
    Gateway.answers.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Gateway)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


BASE = "/v2/repository/models/m/"


@pytest.mark.parametrize(
    ("arguments", "asked", "said"),
    [
        (["load", "m"], [("POST", f"{BASE}load", ""), ("GET", "/health", "")], "m: version 3 answers"),
        (["unload", "m"], [("POST", f"{BASE}unload", "")], "m: unloaded"),
        (
            ["rollback", "m"],
            [("POST", f"{BASE}rollback", "{}")],
            "m: version 2 answers, until the rollback is lifted",
        ),
        (
            ["rollback", "m", "2"],
            [("POST", f"{BASE}rollback", '{"version":"2"}')],
            "m: version 2 answers, until",
        ),
        (["rollback", "m", "--lift"], [("DELETE", f"{BASE}rollback", "")], "m: version 2 answers\n"),
    ],
)
def test_an_order_is_given_and_its_end_is_told(
    url: str,
    arguments: list[str],
    asked: list[tuple[str, str, str]],
    said: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    Gateway.answers.update(
        {
            f"{BASE}load": (200, {}),
            f"{BASE}unload": (200, {}),
            f"{BASE}rollback": (200, {"name": "m", "version": "2"}),
            "/health": (200, {"models": {"m": {"version": "3"}}}),
        }
    )
    assert run(["models", *arguments, "--url", url]) == 0
    assert Gateway.asked == asked
    assert said in capsys.readouterr().out
    assert run(["models", *arguments, "--url", url, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["name"] == "m"
    assert told["state"] == ("UNAVAILABLE" if arguments[0] == "unload" else "READY")


@pytest.mark.parametrize("command", ["load", "unload", "rollback"])
def test_what_the_platform_refuses_is_said_with_its_reason(
    url: str, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["models", command, "m", "--url", url]) == 1
    assert "unknown model 'm'; the repository has n" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("answer", "said"),
    [((405, {}), "takes no such order"), ((200, None), "no Trireme gateway"), ((200, []), "no Trir")],
)
def test_what_is_no_gateway_of_ours_is_told(
    url: str, answer: tuple[int, Any], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Gateway.answers[f"{BASE}rollback"] = answer
    assert run(["models", "rollback", "m", "--url", url]) == 1
    assert said in capsys.readouterr().err


def test_wrong_use_and_nobody_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["models", "rollback", "m", "2", "--lift"]) == 2
    assert "--lift takes no version" in capsys.readouterr().err
    assert run(["models", "rollback", "m", "two"]) == 2
    assert run(["models", "load"]) == 2
    url = f"http://127.0.0.1:{PortAllocator().free('127.0.0.1')}"
    assert run(["models", "unload", "m", "--url", url]) == 1
    assert f"nothing listens at {url}" in capsys.readouterr().err

"""A gateway as `trireme up` sees it: /readyz and /health over HTTP.

FAKE_GATEWAY changes its ways: `exit=N` ends at once; `loading` never becomes ready; `bad` has a bad model.
"""

import json
import os
import signal
import socket
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

WAYS = os.environ.get("FAKE_GATEWAY", "")


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        ready = WAYS != "loading" and all(
            _listens(os.environ[f"TRIREME_GATEWAY_{stage}_ADDRESSES"])
            for stage in ("PREPROCESS", "INFERENCE", "POSTPROCESS")
        )
        if self.path == "/readyz":
            self._answer(200 if ready else 503, {"ready": ready})
        else:
            self._answer(200, {"status": "healthy", "models": _models(ready)})

    def _answer(self, status: int, body: object) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        pass


def _models(ready: bool) -> dict[str, dict[str, str]]:
    state = "READY" if ready else "LOADING"
    names = [path.name for path in Path(os.environ["TRIREME_MODELS_DIR"]).iterdir()]
    models = {name: {"state": state, "version": "1", "reason": ""} for name in names}
    if WAYS == "bad":
        models["broken"] = {"state": "UNAVAILABLE", "version": "1", "reason": "weights are missing"}
    return models


def _listens(addresses: str) -> bool:
    for address in addresses.split(","):
        host, port = address.rsplit(":", 1)
        try:
            socket.create_connection((host, int(port)), timeout=1).close()
        except OSError:
            return False
    return True


if __name__ == "__main__":
    if WAYS.startswith("exit="):
        print("fake gateway says why it ends", file=sys.stderr, flush=True)
        sys.exit(int(WAYS.removeprefix("exit=")))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    address = (os.environ["TRIREME_GATEWAY_HOST"], int(os.environ["TRIREME_GATEWAY_HTTP_PORT"]))
    HTTPServer(address, Handler).serve_forever()

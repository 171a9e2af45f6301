"""uvicorn at its best setting, with one line of JSON when it listens, as `trireme up --json` has it."""

from __future__ import annotations

import json
import os
import socket
import sys

import uvicorn
from uvicorn._types import ASGI3Application


def serve(app: ASGI3Application) -> None:
    """Serves on a free loopback port until SIGTERM."""
    config = uvicorn.Config(
        app,
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="off",
        access_log=False,
        log_level="warning",
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=75,
    )
    with socket.create_server(("127.0.0.1", 0), backlog=2048) as listener:
        ready = {"ready": True, "http": f"http://127.0.0.1:{listener.getsockname()[1]}", "pid": os.getpid()}
        sys.stdout.write(json.dumps(ready) + "\n")
        sys.stdout.flush()
        uvicorn.Server(config).run(sockets=[listener])

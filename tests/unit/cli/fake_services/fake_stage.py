"""A stage as the supervisor sees it: a process that listens and ends at SIGTERM.

FAKE_<STAGE> changes its ways: `exit=N` ends at once, `stubborn` ignores SIGTERM, `deaf` never listens,
`parent` starts a worker that ends with nobody.
"""

import os
import signal
import socket
import subprocess
import sys
import time


def main(stage: str) -> None:
    ways = os.environ.get(f"FAKE_{stage.upper()}", "")
    if ways.startswith("exit="):
        print(f"fake {stage} says why it ends", file=sys.stderr, flush=True)
        sys.exit(int(ways.removeprefix("exit=")))
    signal.signal(signal.SIGTERM, signal.SIG_IGN if ways == "stubborn" else lambda *_: sys.exit(0))
    if ways == "deaf":
        time.sleep(3600)
    if ways == "parent":
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"])
    address = (os.environ[f"TRIREME_{stage.upper()}_HOST"], int(os.environ[f"TRIREME_{stage.upper()}_PORT"]))
    with socket.create_server(address) as server:
        while True:
            server.accept()[0].close()

"""`python -m trireme_inference.workers SOCKET MODULE...`: the nursery that `nursery.py` describes."""

import socket
import sys

from trireme_inference.workers.nursery import run_nursery

if __name__ == "__main__":
    run_nursery(socket.socket(fileno=int(sys.argv[1])), sys.argv[2:])

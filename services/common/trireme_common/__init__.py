"""Runtime that every Trireme service shares: settings, errors, model specs, gRPC, telemetry."""

import os
from importlib.metadata import PackageNotFoundError, version

# gRPC reads this at its import. Its event engine hands every message through one thread more than its
# older poller does: a round trip over a stream takes 1.6 times as long and half as much CPU again
# (docs/adr/0012). Whoever sets the variable decides for himself.
os.environ.setdefault("GRPC_EXPERIMENTS", "-event_engine_client,-event_engine_listener")

try:
    __version__ = version("trireme-common")
except PackageNotFoundError:  # imported from a source tree that was never installed
    __version__ = "0.0.0"

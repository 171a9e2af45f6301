"""Runtime that every Trireme service shares: settings, errors, model specs, gRPC, telemetry."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("trireme-common")
except PackageNotFoundError:  # imported from a source tree that was never installed
    __version__ = "0.0.0"

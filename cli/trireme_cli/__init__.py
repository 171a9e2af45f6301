"""The `trireme` command: start the platform on one machine, ask its models, look into the repository."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("trireme-cli")
except PackageNotFoundError:  # imported from a source tree that was never installed
    __version__ = "0.0.0"

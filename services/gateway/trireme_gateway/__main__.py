"""`python -m trireme_gateway`: the gateway, or one worker of it where a parent handed down a socket."""

import os
import sys

from trireme_common.imports import kept_imports


def main() -> int:
    """Runs the gateway until a signal. Returns the exit code."""
    # Pydantic would look for plugins, of which none is used, in the metadata of every package installed.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    with kept_imports():
        from trireme_common.process import run_service
        from trireme_gateway.roles import serve
        from trireme_gateway.settings import GatewaySettings
    return run_service("gateway", GatewaySettings, serve)


if __name__ == "__main__":
    sys.exit(main())

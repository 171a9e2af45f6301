"""What a gateway loads before it answers: nothing that only another role, or another setting, needs."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap

from trireme_gateway.settings import GatewaySettings

PARENT = """
    import trireme_common.process, trireme_gateway.roles, trireme_gateway.settings
"""
WORKER = """
    import trireme_gateway.worker
    from tests.support.gateways import services
    from trireme_gateway.app import create_app
    from trireme_gateway.console.static_files import static_files
    from trireme_gateway.middleware import AccessLog

    create_app(services(), AccessLog())
    read.extend(name for name, file in static_files().items() if vars(file).keys() & {"body", "gzipped"})
"""
SHOW = """
    import json, sys

    print(json.dumps({"modules": sorted(sys.modules), "read": read}))
"""


def loaded(code: str) -> tuple[set[str], list[str]]:
    """Modules of a fresh process after `code`, and the console's files that it has read."""
    source = "read = []\n" + textwrap.dedent(code) + textwrap.dedent(SHOW)
    ended = subprocess.run([sys.executable, "-c", source], capture_output=True, check=True, timeout=120)
    found = json.loads(ended.stdout)
    return set(found["modules"]), found["read"]


def test_a_parent_loads_nothing_that_serves() -> None:
    modules, _ = loaded(PARENT)
    assert "trireme_gateway.workers" in modules
    assert not modules & {"numpy", "fastapi", "uvicorn", "grpc", "yaml", "google.protobuf"}
    assert not modules & {"trireme_gateway.app", "trireme_gateway.bootstrap", "trireme_gateway.worker"}


def test_an_application_loads_nothing_that_default_settings_do_not_choose() -> None:
    modules, read = loaded(WORKER)
    assert "trireme_gateway.app" in modules
    assert not modules & {"trireme_gateway.hop.oip.connection", "trireme_gateway.hop.oip.channel"}
    assert not modules & {"PIL", "opentelemetry.sdk", "onnxruntime", "torch", "trireme_common.remote"}
    assert read == []


def test_settings_are_made_without_reading_their_source() -> None:
    assert not GatewaySettings.model_config.get("use_attribute_docstrings")

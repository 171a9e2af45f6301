"""A stage whose settings name models is not ready before it has them."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from tests.support.platform import copy_models
from tests.support.stage_process import running
from trireme_common.healthcheck import serving


async def line(log: Path, event: str) -> Any:
    """The first line of the log with that event, once it is there."""
    async with asyncio.timeout(30):
        while True:
            if log.exists():
                for text in log.read_text().splitlines():
                    if text.endswith("}") and json.loads(text)["event"] == event:
                        return json.loads(text)
            await asyncio.sleep(0.05)


async def test_a_stage_waits_for_the_models_that_its_settings_name(tmp_path: Path) -> None:
    models, log = copy_models(tmp_path / "models", "digits"), tmp_path / "log"
    seen: dict[str, bool] = {}

    async def bring_the_other() -> None:
        port = (await line(log, "listening"))["port"]
        told = await line(log, "not_ready")
        assert told["missing_models"] == {"tabular": "not in the repository"}
        for service in ("startup", "liveness", "readiness", ""):
            seen[service] = await asyncio.to_thread(serving, f"127.0.0.1:{port}", service)
        copy_models(models, "tabular")

    bringing = asyncio.create_task(bring_the_other())
    required = {"TRIREME_PREPROCESS_REQUIRED_MODELS": "digits, tabular"}
    async with running("preprocess", models, log, **required):  # until it says that it is ready
        await bringing
    assert seen == {"startup": True, "liveness": True, "readiness": False, "": False}

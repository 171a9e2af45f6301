"""Models of a running platform."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from trireme_cli.platform_client import PlatformClient


async def served_models(client: PlatformClient) -> list[dict[str, Any]]:
    """`name`, `task`, `versions`, `ready`, `state`, `version`, `reason` of every model, sorted."""
    names, health = await asyncio.gather(client.models(), client.health())
    states: Mapping[str, Mapping[str, Any]] = health.get("models") or {}
    # A model that is unusable need not be listed as served; its reason is what people look for.
    described = await asyncio.gather(*(client.model(name) for name in names))
    models = {str(model["name"]): model for model in described}
    return [_entry(name, models.get(name, {}), states.get(name, {})) for name in sorted({*models, *states})]


def _entry(name: str, model: Mapping[str, Any], state: Mapping[str, Any]) -> dict[str, Any]:
    ready = bool(model.get("ready"))
    return {
        "name": name,
        "task": model.get("task", ""),
        "versions": list(model.get("versions") or []),
        "ready": ready,
        "state": state.get("state") or ("READY" if ready else "UNAVAILABLE"),
        "version": str(state.get("version") or ""),
        "reason": state.get("reason") or "",
    }

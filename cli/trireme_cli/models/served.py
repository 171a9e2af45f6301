"""Models of a running platform."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from trireme_cli.platform_client import PlatformClient


async def served_models(client: PlatformClient) -> list[dict[str, Any]]:
    """`name`, `task`, `versions`, `ready`, `state`, `version`, `reason` of every model, sorted; and under
    `index` `version`, `state` and `reason` of each of its versions, also of those that do not answer."""
    names, health, index = await asyncio.gather(client.models(), client.health(), client.index())
    states: Mapping[str, Mapping[str, Any]] = health.get("models") or {}
    # A model that is unusable need not be listed as served; its reason is what people look for.
    described = await asyncio.gather(*(client.model(name) for name in names))
    models = {str(model["name"]): model for model in described}
    return [
        _entry(name, models.get(name, {}), states.get(name, {}), _versions(name, index))
        for name in sorted({*models, *states})
    ]


def _versions(name: str, index: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    fields = ("version", "state", "reason")
    return [{field: str(entry[field]) for field in fields} for entry in index if entry["name"] == name]


def _entry(
    name: str, model: Mapping[str, Any], state: Mapping[str, Any], versions: list[dict[str, str]]
) -> dict[str, Any]:
    ready = bool(model.get("ready"))
    return {
        "name": name,
        "task": model.get("task", ""),
        "versions": list(model.get("versions") or []),
        "ready": ready,
        "state": state.get("state") or ("READY" if ready else "UNAVAILABLE"),
        "version": str(state.get("version") or ""),
        "reason": state.get("reason") or _reasons(versions),
        "index": versions,
    }


def _reasons(versions: Sequence[Mapping[str, str]]) -> str:
    """Why versions do not answer while another one does."""
    return "; ".join(f"version {each['version']}: {each['reason']}" for each in versions if each["reason"])


async def connected_stages(client: PlatformClient) -> dict[str, int]:
    """Endpoints that the gateway is connected to, by stage."""
    return {str(stage): int(count) for stage, count in ((await client.health()).get("stages") or {}).items()}

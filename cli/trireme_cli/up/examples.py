"""One call to copy, for the models that are there."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping

_TEXT = "这家店的菜很好吃"
_JSON_HEADER = "-H 'content-type: application/json'"


def curl_example(url: str, tasks: Mapping[str, str]) -> str:
    """A curl command that one of the models answers; a text model is preferred."""
    by_task: dict[str, list[str]] = {}
    for name, task in sorted(tasks.items()):
        by_task.setdefault(task, []).append(name)
    if texts := by_task.get("text-classification"):
        query = "" if len(texts) == 1 else f"?model={texts[0]}"
        return _post(f"{url}/predict{query}", {"texts": [_TEXT]})
    if pictures := by_task.get("image-classification"):
        return (
            f"curl -s {url}/v1/models/{pictures[0]}/predict "
            "-H 'content-type: image/png' --data-binary @picture.png"
        )
    if tables := by_task.get("tabular"):
        return f"curl -s {url}/v2/models/{tables[0]}"
    if embeddings := by_task.get("text-embedding"):
        return _post(f"{url}/v1/embeddings", {"model": embeddings[0], "input": _TEXT})
    return f"curl -s {url}/v2/models/{min(tasks)}"


def _post(url: str, body: object) -> str:
    return f"curl -s {shlex.quote(url)} {_JSON_HEADER} -d '{json.dumps(body, ensure_ascii=False)}'"

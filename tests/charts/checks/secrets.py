"""Secrets stay in Secrets that others made."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tests.charts.helm import Document
from tests.charts.objects import all_pods, env, of_kind, title

_NAMES = re.compile(
    r"(^|[_.-])(password|passwd|secret|token|credentials?|api_?key|access_?key|private_?key|requirepass)($|[_.-])",
    re.I,
)
_HARMLESS = re.compile(r"(^$|^/|^true$|^false$|^[0-9.]+$)")
_PATTERNS = {
    "a user and password in a URL": re.compile(r"\b[a-z][a-z0-9+]*://[^\s/:@\"']+:[^\s/@\"']+@"),
    "a private key": re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY"),
}


def point_10_no_secrets(documents: list[Document]) -> Iterator[str]:
    """No Secret of our own making, and none in a ConfigMap, in the environment or in arguments."""
    for secret in of_kind(documents, "Secret"):
        yield f"{title(secret)} is made by the chart; take the name of one that exists"
    for config in of_kind(documents, "ConfigMap"):
        for key, value in {**config.get("data", {}), **config.get("binaryData", {})}.items():
            if _NAMES.search(key) and not _HARMLESS.match(str(value)):
                yield f"{title(config)}: data.{key} looks like a secret"
    for pod in all_pods(documents):
        for container in pod.containers:
            where = f"{pod.title}: {container['name']}"
            for name, value in env(container).items():
                if _NAMES.search(name) and isinstance(value, str) and not _HARMLESS.match(value):
                    yield f"{where}.env.{name} is written out; use secretKeyRef"
            words = [*container.get("command", []), *container.get("args", [])]
            for word, following in zip(words, [*words[1:], ""], strict=False):
                option, _, value = word.partition("=")
                named = option.startswith("-") and _NAMES.search(option.lstrip("-"))
                if named and not _HARMLESS.match(value or following):
                    yield f"{where}: argument {option} shows a secret to whoever lists processes"


def point_10_text(rendered: dict[str, str]) -> Iterator[str]:
    """Neither objects nor notes print a secret."""
    for path, content in rendered.items():
        for what, pattern in _PATTERNS.items():
            for found in pattern.finditer(content):
                yield f"{path}: line {content.count(chr(10), 0, found.start()) + 1}: {what}"

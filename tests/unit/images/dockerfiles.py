"""Dockerfiles, read as stages of instructions."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
SERVICES = ("gateway", "preprocess", "inference", "postprocess")
BASE = "python:3.11-slim-bookworm"


@dataclass
class Stage:
    """What follows one FROM."""

    name: str
    base: str
    instructions: list[tuple[str, str]] = field(default_factory=list)

    def all(self, word: str) -> list[str]:
        """Arguments of every instruction of that name."""
        return [rest for found, rest in self.instructions if found == word]


def read(service: str) -> dict[str, Stage]:
    """Stages of a service's Dockerfile by name, in order."""
    source = (ROOT / "services" / service / "Dockerfile").read_text()
    lines = [line for line in source.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    stages: dict[str, Stage] = {}
    current = Stage("", "")
    for line in re.sub(r"\\\n\s*", "", "\n".join(lines)).splitlines():
        word, _, rest = line.partition(" ")
        if word == "FROM":
            base, _, name = rest.partition(" AS ")
            current = stages[name] = Stage(name, base)
        else:
            current.instructions.append((word, rest))
    return stages


def lineage(stages: dict[str, Stage], name: str) -> list[Stage]:
    """A stage and those that it stands on, the lowest first."""
    stage = stages[name]
    below = lineage(stages, stage.base) if stage.base in stages else []
    return [*below, stage]


def instructions(service: str, target: str, word: str) -> list[str]:
    """Arguments of the instructions that shape the image of a target."""
    return [rest for stage in lineage(read(service), target) for rest in stage.all(word)]


def environment(service: str, target: str) -> dict[str, str]:
    """Environment that an image of a target carries."""
    pairs = (pair for rest in instructions(service, target, "ENV") for pair in rest.split())
    return dict(pair.split("=", 1) for pair in pairs)

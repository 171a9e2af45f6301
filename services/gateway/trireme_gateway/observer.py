"""What the pipeline tells of its work; the metrics are one listener."""

from __future__ import annotations

from typing import Protocol


class PipelineObserver(Protocol):
    """All durations are in seconds."""

    def observe_stage(self, stage: str, seconds: float) -> None: ...

    def observe_inference(self, model: str, seconds: float) -> None: ...

    def observe_confidence(self, model: str, confidence: float) -> None: ...

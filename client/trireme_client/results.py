"""What calls answer, typed and frozen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from trireme_client.tensors import Tensor


@dataclass(frozen=True, slots=True)
class Served:
    """Who answered, and how; empty where the platform did not say."""

    model: str = ""
    version: str = ""
    request_id: str = ""
    """Finds the request in the platform's log."""
    cache: str = ""
    """hit, miss, coalesced or off."""
    inference_seconds: float | None = None
    """Time of the request in the platform's stages."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Classification:
    """`confidence` is the probability of `label`; `probabilities` has all labels."""

    label: str
    confidence: float
    probabilities: Mapping[str, float]
    index: int | None = None
    """Position of the label among the model's classes, for pictures."""
    text: str | None = None
    """What was asked, for texts."""
    served: Served = field(default=Served(), compare=False, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbers:
    """Values of a regression."""

    values: tuple[float, ...]
    served: Served = field(default=Served(), compare=False, repr=False)

    @property
    def value(self) -> float:
        """The only value. Raises ValueError where there are several."""
        (only,) = self.values
        return only


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedding:
    """The embedding of one text of a batch."""

    values: tuple[float, ...]
    text: str | None = None
    served: Served = field(default=Served(), compare=False, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedItem:
    """One item could not be processed; its neighbours were. A value, not an exception."""

    code: str
    """The platform's stable code, e.g. `blank_text`."""
    detail: str
    text: str | None = None
    served: Served = field(default=Served(), compare=False, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Embeddings:
    """An embedding for every input, in their order."""

    vectors: Sequence[tuple[float, ...]]
    """float32 values, as Python floats."""
    prompt_tokens: int
    """Tokens that the model read, special ones included; 0 where it has none."""
    served: Served = field(default=Served(), compare=False, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Inference:
    """The output tensors of a model, by name."""

    outputs: Mapping[str, Tensor]
    served: Served = field(default=Served(), compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """One model; `versions` are those that can be asked now, oldest first."""

    name: str
    ready: bool
    versions: tuple[str, ...]
    task: str


@dataclass(frozen=True, slots=True)
class ModelHealth:
    """State of one model: READY, LOADING or UNAVAILABLE; `reason` says why not READY."""

    state: str
    version: str
    reason: str


@dataclass(frozen=True, slots=True)
class Health:
    """`status` is healthy, loading or degraded."""

    status: str
    model_loaded: bool
    models: Mapping[str, ModelHealth]
    device: str
    total_requests: int
    average_inference_seconds: float

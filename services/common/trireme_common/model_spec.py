"""`model.yaml`: what every version of a model shares, as a closed schema."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from trireme_common.errors import SpecError
from trireme_common.tensors import DATATYPES
from trireme_common.yaml_reader import Document, read_yaml

Task = Literal["text-classification", "image-classification", "text-embedding", "tabular", "tensor"]
Backend = Literal["onnxruntime", "torch"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
INFERENCE_SUFFIX = ".inference"
# What the state that stages publish can hold.
_MAX_UINT32 = 2**32 - 1
_MAX_INT64 = 2**63 - 1


def is_model_name(name: str) -> bool:
    """Whether a model may be called so."""
    return bool(_NAME.fullmatch(name)) and not name.endswith(INFERENCE_SUFFIX)


class _Closed(BaseModel):
    # Built when it is first used, which in a gateway is seldom.
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, defer_build=True)


class TensorSpec(_Closed):
    """One input or output of the model file."""

    name: str = Field(min_length=1)
    """As the model file has it."""
    datatype: str
    """Open Inference Protocol name: `FP32`, `INT64`, `UINT8`, `BOOL`, `BYTES`, ..."""
    shape: tuple[int, ...] = Field(strict=False)
    """Batch dimension first; -1 is any size."""

    @field_validator("datatype")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in DATATYPES:
            raise ValueError(f"unknown datatype {value!r}; known: {', '.join(DATATYPES)}")
        return value

    @field_validator("shape")
    @classmethod
    def _sizes(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if any(size < -1 or size == 0 or size > _MAX_INT64 for size in value):
            raise ValueError("dimensions are positive 64-bit integers, or -1 for any size")
        return value


class StepSpec(_Closed):
    """A step by name, with its parameters; in model.yaml `name` or `name: {parameters}`."""

    name: str
    parameters: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: Any) -> Any:
        if isinstance(value, str):
            return {"name": value}
        if isinstance(value, dict) and len(value) == 1:
            ((name, parameters),) = value.items()
            if parameters is None or isinstance(parameters, dict):
                return {"name": name, "parameters": parameters or {}}
        raise ValueError("a step is its name, or its name with a map of parameters")


class Batching(_Closed):
    """How requests of many callers are put together for one run."""

    max_batch_size: int = Field(32, ge=0, le=65536)
    """Rows of one run at most; 0: the first dimension is no batch, and requests run alone. Not given:
    measured when the model loads, up to 32, or 128 on a GPU."""
    max_queue_delay_ms: float = Field(0.0, ge=0, le=60_000, strict=False)
    """How long the first request of a batch waits for company while an instance is idle; 0 never waits."""
    preferred_batch_sizes: tuple[int, ...] = Field((), strict=False)
    """Rows at which a batch leaves without waiting any longer."""
    latency_objective_ms: float | None = Field(None, gt=0, strict=False)
    """99 of 100 requests are to be answered within it, arrival to answer: batches close by learnt costs."""
    shape_buckets: tuple[Annotated[int, Field(ge=1)], ...] = Field((), strict=False)
    """Lengths to which the free dimension beyond the batch is padded, so that lengths share a run."""
    max_queue_size: int = Field(4096, ge=1)
    """Requests that may wait; the next is refused, or takes the place of a less important one."""
    priority_levels: int = Field(1, ge=1, le=16)
    """1 is the most important; a request that names none has the middle one."""


class Instances(_Closed):
    """Runs of the model side by side."""

    count: int = Field(1, ge=1, le=64)
    """How many at a time, all devices together. Not given: measured when the model loads."""
    device: str = Field("auto", pattern=r"^(auto|cpu|cuda(:\d+)?)$")
    """`cpu`, `cuda:N` for one GPU, `cuda` for all of them, or `auto`, which is the service's own setting."""
    isolation: Literal["process", "thread"] | None = None
    """Whether an instance is a process, whose crash costs itself alone, or a thread of the service."""


class Versions(_Closed):
    """Which versions are served."""

    policy: Literal["latest", "all", "specific"] = "latest"
    """The newest `count` that are good, all, or those of `list`."""
    count: int = Field(1, ge=1)
    """With `latest`."""
    list: tuple[int, ...] = Field((), strict=False)
    """With `specific`."""

    @model_validator(mode="after")
    def _specific_lists(self) -> Self:
        if (self.policy == "specific") != bool(self.list):
            raise ValueError("'list' is given with policy 'specific', and only with it")
        return self


class Memory(_Closed):
    """When the model is in memory."""

    pinned: bool = False
    """Never leaves to make room for another model."""
    lazy: bool = False
    """Is loaded when it is first asked for."""


class Cache(_Closed):
    """The result cache."""

    enabled: bool = True
    """Whether answers are kept."""
    ttl_seconds: int = Field(300, ge=1, le=31_536_000)
    """For how long."""
    scope: Literal["tenant", "shared"] = "tenant"
    """Whether a tenant is answered with what it asked itself, or with what anybody asked."""


class Limits(_Closed):
    """What one request may ask. Not given: the gateway's own limits hold."""

    max_items: int | None = Field(None, ge=1, le=_MAX_UINT32)
    """Items of one request."""
    max_bytes: int | None = Field(None, ge=1, le=_MAX_INT64)
    """Bytes of one item."""
    timeout_ms: int | None = Field(None, ge=1, le=_MAX_UINT32)
    """Longest time of a request, also of one whose caller grants more."""
    long_text: Literal["truncate", "refuse"] = "truncate"
    """What becomes of a text that is longer than the tokeniser's `max_length`."""


class ModelSpec(_Closed):
    """The whole of model.yaml."""

    name: str
    """The model's name in every route: the name of its directory."""
    task: Task = "tensor"
    """What callers give and get; `tensor` is the bare model, without steps."""
    backend: Backend = "onnxruntime"
    """`onnxruntime` runs model.onnx, `torch` model.pt (TorchScript) or model.pt2 (torch.export)."""
    inputs: tuple[TensorSpec, ...] = Field((), strict=False)
    """The inputs of the model file; with task `tensor` the file itself says them."""
    outputs: tuple[TensorSpec, ...] = Field((), strict=False)
    """Its outputs, likewise."""
    preprocess: tuple[StepSpec, ...] = Field((), strict=False)
    """Steps from what the caller sends to tensors, in order (steps.md)."""
    postprocess: tuple[StepSpec, ...] = Field((), strict=False)
    """Steps from the model's outputs to the answer, in order (steps.md)."""
    batching: Batching = Field(default_factory=Batching)
    """How requests of many callers are put together for one run (batching.md)."""
    instances: Instances = Field(default_factory=Instances)
    """Runs of the model side by side, and where."""
    versions: Versions = Field(default_factory=Versions)
    """Which of the numbered folders are served."""
    digests: dict[str, str] = Field(default_factory=dict)
    """SHA-256 by file (`1/model.onnx: ...`): a file that has another one is not opened."""
    memory: Memory = Field(default_factory=Memory)
    """When the model is in memory."""
    warmup: bool = True
    """Whether a version is run, checked by its golden.json and measured before it answers."""
    cache: Cache = Field(default_factory=Cache)
    """The result cache (cache.md)."""
    limits: Limits = Field(default_factory=Limits)
    """What one request may ask."""

    @field_validator("name")
    @classmethod
    def _plain_name(cls, value: str) -> str:
        if not is_model_name(value):
            raise ValueError(
                "letters, digits, '.', '_' and '-', at most 128, beginning with a letter or digit, "
                f"not ending in {INFERENCE_SUFFIX}"
            )
        return value

    @field_validator("digests")
    @classmethod
    def _hex_digests(cls, value: dict[str, str]) -> dict[str, str]:
        for name, digest in value.items():
            if not re.fullmatch(r"[0-9a-f]{64}", digest):
                raise ValueError(f"{name}: a SHA-256 is 64 lower-case hexadecimal digits")
        return value

    @model_validator(mode="after")
    def _steps_fit_task(self) -> Self:
        if self.task == "tensor" and (self.preprocess or self.postprocess):
            raise ValueError(
                "task 'tensor' takes no preprocess or postprocess steps; name the task they serve"
            )
        if self.task != "tensor" and not (self.inputs and self.outputs):
            raise ValueError(f"task '{self.task}' needs 'inputs' and 'outputs'")
        if self.task != "tensor" and not all(tensor.shape for tensor in (*self.inputs, *self.outputs)):
            raise ValueError("the shape of an input or output begins with its batch dimension")
        return self


def read_model_spec(path: Path) -> ModelSpec:
    """Reads a model.yaml. Raises SpecError with file, line and key of the first problem."""
    document = read_yaml(path)
    if not isinstance(document.value, dict):
        raise SpecError(f"{path}, line 1: a map of keys is expected; 'name' and 'task' first")
    try:
        return ModelSpec.model_validate(document.value)
    except ValidationError as error:
        raise SpecError(_explain(path, document, error)) from error


def _explain(path: Path, document: Document, error: ValidationError) -> str:
    first = error.errors()[0]
    location = tuple(first["loc"])
    key = ".".join(map(str, location)) or "model.yaml"
    if first["type"] == "extra_forbidden":
        parent: Any = ModelSpec
        for part in location[:-1]:
            field = getattr(parent, "model_fields", {}).get(part)
            parent = field.annotation if field else None
        known = getattr(parent, "model_fields", {})
        message = "unknown key" + (f"; known: {', '.join(sorted(known))}" if known else "")
    else:
        message = str(first["msg"]).removeprefix("Value error, ")
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    return f"{path}, line {document.line(location)}: {key}: {message}{more}"

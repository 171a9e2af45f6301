"""What travels through the scheduler: a request for one run, and its answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from trireme_common.errors import TriremeError
from trireme_common.tracing import Span

if TYPE_CHECKING:
    from trireme_inference.signature import Signature


class Caller(Protocol):
    """Who waits for an answer."""

    @property
    def cancelled(self) -> bool:
        """True once nobody waits any more."""


Part = bytes | memoryview
"""Raw bytes of one tensor; a view refers to the payload that it came in."""
Shapes = tuple[tuple[int, ...], ...]


class Sink(Protocol):
    """Takes the answers of one batch that belong to it, in one call, in the order of the batch."""

    def deliver(self, answers: Sequence[Answer]) -> None: ...


@dataclass(slots=True, eq=False)
class Request:
    """Checked input of one item. Times are seconds of the monotonic clock."""

    parts: tuple[Part, ...]
    """Raw bytes of every input, in the model's order."""
    shapes: Shapes
    """Shape of every input without the batch dimension (with it, where the model does not batch):
    only requests of equal shapes share a run."""
    rows: int
    deadline: float
    arrived: float
    signature: Signature
    caller: Caller
    sink: Sink
    context: Any = None
    """What the sink needs to know of the request again."""
    request_id: str = ""
    span: Span | None = None
    """Where the request is traced."""
    priority: int = 0
    """1 is the most important; 0, or a level that the model does not have, is the model's middle level."""
    part: bool = False
    """A slice of a longer request, which is counted as a whole when its last slice is answered."""
    answered: bool = field(default=False, init=False)
    """Set once an answer is under way to the sink; a later one is dropped."""
    run_deadline: float = field(default=0.0, init=False)
    """What `deadline` will be once the request no longer waits, where the queue bounds the wait further; 0
    where it does not."""

    def gone(self, now: float) -> bool:
        """True where the request must not reach the device."""
        return self.answered or self.caller.cancelled or self.deadline <= now


class MembersLeft(Exception):
    """Nothing has run, because some of a batch left while it waited to: the others are chosen again."""


@dataclass(slots=True, eq=False)
class RunTimes:
    """Where the time of one good run was spent, in seconds; one for all the requests that it served."""

    rows: int
    input_seconds: float = 0.0
    """From the instance's start on the batch to the model's: requests joined, padded, brought to the
    worker process and to the device."""
    infer_seconds: float = 0.0
    """The model."""
    output_seconds: float = 0.0
    """From the model's end: outputs brought back and split among the requests."""


@dataclass(slots=True, eq=False)
class Answer:
    """Outputs of one request in the order of its signature's outputs, or the error it suffers alone."""

    request: Request
    parts: tuple[Part, ...] = ()
    shapes: Shapes = ()
    """Full shapes, batch dimension included."""
    error: TriremeError | None = None
    queue_seconds: float = 0.0
    compute_seconds: float = 0.0
    run: RunTimes | None = None
    """The run that it came from, or all runs of its slices in one; None where it failed."""


@dataclass(slots=True, eq=False)
class Ran:
    """The answers of one batch."""

    answers: list[Answer]
    as_one: bool = field(init=False)
    """False where nothing ran, or the batch failed and was run in pieces, each with a time of its own."""

    def __post_init__(self) -> None:
        first = self.answers[0] if self.answers else None
        self.as_one = (
            first is not None
            and first.error is None
            and first.compute_seconds == self.answers[-1].compute_seconds
        )

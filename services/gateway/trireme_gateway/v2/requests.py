"""An inference request and its answer, as every transport of the protocol has them in common."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from trireme_common.errors import Code, TriremeError
from trireme_common.tensors import Tensor
from trireme_gateway.v2.shared_memory import Place, place_of

Parameter = bool | int | float | str
Parameters = Mapping[str, Parameter]

# Every answer is its request's last and says so, so that no empty one has to follow it.
_EMPTY_FINAL = "triton_enable_empty_final_response"
_FLAGS = ("sequence_start", "sequence_end", _EMPTY_FINAL)


@dataclass(frozen=True, slots=True)
class RequestedOutput:
    """One output that the caller named."""

    name: str
    parameters: Parameters = field(default_factory=dict)

    @property
    def classification(self) -> int:
        """How many classes to answer instead of the tensor; 0 answers the tensor.

        Raises TriremeError(INVALID_ARGUMENT) for anything but a whole number from 0 on.
        """
        return whole_number(self.parameters, "classification", f"output '{self.name}': ")

    @property
    def place(self) -> Place | None:
        """Where in shared memory the tensor is to be put; None sends it.

        Raises TriremeError(INVALID_ARGUMENT) where it is to be sent, or answered as classes, as well.
        """
        place = place_of(self.parameters, f"output '{self.name}'")
        for other in ("classification", "binary_data"):
            if place is not None and self.parameters.get(other):
                raise TriremeError(
                    Code.INVALID_ARGUMENT,
                    f"output '{self.name}': Output can't set both 'shared_memory_region' and '{other}'",
                )
        return place


@dataclass(frozen=True, slots=True)
class InferRequest:
    """`outputs` empty asks for all of them. Raises TriremeError(INVALID_ARGUMENT) for a name given twice."""

    inputs: tuple[Tensor, ...]
    outputs: tuple[RequestedOutput, ...] = ()
    parameters: Parameters = field(default_factory=dict)
    id: str = ""

    def __post_init__(self) -> None:
        _refuse_twice("input", (tensor.name for tensor in self.inputs))
        _refuse_twice("output", (output.name for output in self.outputs))

    @property
    def timeout_microseconds(self) -> int:
        """Time that the caller gives the request; 0 where it names none."""
        return whole_number(self.parameters, "timeout")

    @property
    def priority(self) -> int:
        """Level among those that the model has, 1 the first to be served; 0 where the caller names none."""
        return whole_number(self.parameters, "priority")

    def check_parameters(self) -> None:
        """Refuses reserved names that mean nothing here. Raises TriremeError(INVALID_ARGUMENT).

        `sequence_id`, `sequence_start` and `sequence_end` may be there: no model here keeps a state from
        one request to the next, and for such models they say nothing in Triton either.
        """
        for key, value in self.parameters.items():
            if key == "sequence_id":
                if isinstance(value, bool) or not isinstance(value, int | str):
                    raise TriremeError(
                        Code.INVALID_ARGUMENT, f"parameter '{key}' must be a whole number or a string"
                    )
            elif key in _FLAGS:
                _flag(self.parameters, key)
            elif key.startswith("triton_"):
                raise TriremeError(
                    Code.INVALID_ARGUMENT,
                    f"parameter '{key[:80]}': names that begin with 'triton_' are reserved; the one that "
                    f"a request may have is '{_EMPTY_FINAL}'",
                )

    def wants_binary(self, name: str) -> bool:
        """Whether an output goes back as bytes behind the JSON: its own parameter, else the request's."""
        for output in self.outputs:
            if output.name == name and "binary_data" in output.parameters:
                return _flag(output.parameters, "binary_data", f"output '{name}': ")
        return _flag(self.parameters, "binary_data_output")


@dataclass(frozen=True, slots=True)
class InferResponse:
    """Outputs in the order in which they were asked for, else in the model's own."""

    model_name: str
    model_version: str
    outputs: tuple[Tensor, ...]
    id: str = ""
    places: Mapping[str, Place] = field(default_factory=dict)
    """The outputs that were put into shared memory, and are not sent, by their names."""


def whole_number(parameters: Parameters, key: str, where: str = "") -> int:
    """Value of a parameter that counts something, 0 where it is absent."""
    value = parameters.get(key, 0)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise TriremeError(
            Code.INVALID_ARGUMENT, f"{where}parameter '{key}' must be a whole number, 0 or more"
        )
    return value


def _flag(parameters: Parameters, key: str, where: str = "") -> bool:
    value = parameters.get(key, False)
    if not isinstance(value, bool):
        raise TriremeError(Code.INVALID_ARGUMENT, f"{where}parameter '{key}' must be true or false")
    return value


def _refuse_twice(kind: str, names: Iterable[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise TriremeError(Code.INVALID_ARGUMENT, f"{kind} '{name}' is given twice")
        seen.add(name)

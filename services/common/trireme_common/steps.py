"""Named processing steps with typed parameters, chained as model.yaml lists them.

A step is a pydantic class: its fields are the parameters that model.yaml may give, its docstring
and field descriptions are the documentation (`make generate` writes docs/steps.md from them), and
`prepare` turns it into the function that runs for every item.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, ValidationError

from trireme_common.errors import SpecError

StepFunction = Callable[[Any], Any]

_MAX_ASSET_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True)
class Assets:
    """The files beside a model version that its steps may read."""

    directory: Path

    def path(self, name: str) -> Path:
        """Path of asset `name`; refuses names that lead out of the version's directory."""
        root = self.directory.resolve()
        target = (root / name).resolve()
        if not target.is_relative_to(root):
            raise SpecError(f"asset {name!r} lies outside {self.directory}")
        if not target.is_file():
            raise SpecError(f"asset {name!r} is missing in {self.directory}")
        if target.stat().st_size > _MAX_ASSET_BYTES:
            raise SpecError(f"asset {name!r} is larger than {_MAX_ASSET_BYTES} bytes")
        return target

    def json(self, name: str) -> Any:
        """Parsed JSON content of asset `name`."""
        try:
            return json.loads(self.path(name).read_bytes())
        except ValueError as error:
            raise SpecError(f"asset {name!r} is not valid JSON: {error}") from error


class Step(BaseModel, ABC):
    """Base of every step. `takes` and `gives` name the kind of value before and after it.

    Kinds: `text` (str), `bytes`, `image` (uint8 or float32 ndarray, HWC or HW), `numbers`
    (float64 ndarray [k]), `tensors` (dict of name -> ndarray without batch dimension),
    `scores` (float64 ndarray [C] with one entry a class), `vector` (float64 ndarray [k]).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: ClassVar[str]
    takes: ClassVar[tuple[str, ...]]
    gives: ClassVar[str | None] = None  # None: the same kind that came in

    @abstractmethod
    def prepare(self, assets: Assets) -> StepFunction:
        """The function that runs for every item. Raises SpecError where an asset is unusable."""


@dataclass(frozen=True)
class Chain:
    """Prepared steps of one model version, applied in order to one item at a time."""

    functions: tuple[StepFunction, ...]
    gives: str

    def __call__(self, value: Any) -> Any:
        for function in self.functions:
            value = function(value)
        return value


class Vocabulary:
    """All steps one stage knows, by name."""

    def __init__(self, stage: str, steps: Iterable[type[Step]]) -> None:
        self.stage = stage
        self._steps: Mapping[str, type[Step]] = {step.name: step for step in steps}

    def __iter__(self) -> Iterator[type[Step]]:
        return iter(self._steps.values())

    def build(self, specs: Sequence[tuple[str, Mapping[str, Any]]], assets: Assets, kind: str) -> Chain:
        """Chain of the steps in `specs`, the first of which receives a value of `kind`.

        Raises SpecError naming the step that is unknown, misplaced or wrongly parameterised.
        """
        functions = []
        for position, (name, parameters) in enumerate(specs, start=1):
            step = self._parse(name, parameters)
            if kind not in step.takes:
                raise SpecError(
                    f"{self.stage} step {position} ({name}) takes {' or '.join(step.takes)}, "
                    f"but what comes before it gives {kind}"
                )
            functions.append(step.prepare(assets))
            kind = step.gives or kind
        return Chain(tuple(functions), kind)

    def _parse(self, name: str, parameters: Mapping[str, Any]) -> Step:
        step = self._steps.get(name)
        if step is None:
            raise SpecError(f"unknown {self.stage} step {name!r}; known: {', '.join(sorted(self._steps))}")
        try:
            return step.model_validate(dict(parameters))
        except ValidationError as error:
            problems = "; ".join(
                f"{'.'.join(map(str, problem['loc'])) or name}: {problem['msg']}"
                for problem in error.errors()
            )
            raise SpecError(f"{self.stage} step {name}: {problems}") from error

    def takes_parameter(self, name: str, parameter: str) -> bool:
        """Whether step `name` exists and has a parameter of that name."""
        step = self._steps.get(name)
        return step is not None and parameter in step.model_fields

"""`model_warmup` of a config.pbtxt: the requests that a model is to run before it is READY."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import PurePosixPath

from trireme_common.triton.pbtxt import ParsedConfig
from trireme_common.triton.tensors import datatype_of
from trireme_protos.inference.model_config_pb2 import ModelWarmup

_MOST_RUNS = 1000
_MOST_ELEMENTS = 2**28


@dataclass(frozen=True)
class WarmUpInput:
    """One tensor of a sample."""

    name: str
    datatype: str
    dims: tuple[int, ...]
    """Without the batch dimension, where the model has one."""
    random: bool
    """Floats from [0, 1) and integers 0 and 1; zeros where neither this nor `file` says otherwise."""
    file: str
    """Name of a file in the model's folder `warmup`, the raw elements of one row; empty for none."""


@dataclass(frozen=True)
class WarmUpSample:
    """One request, and how often it is run."""

    name: str
    rows: int
    inputs: tuple[WarmUpInput, ...]
    count: int


def read_warmup(config: ParsedConfig, max_rows: int | None) -> tuple[WarmUpSample, ...]:
    """`max_rows`: the model's max_batch_size, None where the configuration has none.

    Raises SpecError for a sample that cannot be made.
    """
    return tuple(
        _sample(config, at, sample, max_rows) for at, sample in enumerate(config.message.model_warmup)
    )


def _sample(config: ParsedConfig, at: int, sample: ModelWarmup, max_rows: int | None) -> WarmUpSample:
    rows = max(1, sample.batch_size)
    if max_rows is not None and rows > max(1, max_rows):
        raise config.error(f"{rows} is over max_batch_size {max_rows}", "model_warmup", at, "batch_size")
    return WarmUpSample(
        sample.name or f"model_warmup[{at}]",
        rows,
        tuple(_input(config, at, name, rows, given) for name, given in sorted(sample.inputs.items())),
        _count(config, at, sample),
    )


def _count(config: ParsedConfig, at: int, sample: ModelWarmup) -> int:
    if sample.count > _MOST_RUNS:
        raise config.error(f"at most {_MOST_RUNS} runs of a sample", "model_warmup", at, "count")
    return max(1, sample.count)


def _input(config: ParsedConfig, at: int, name: str, rows: int, given: ModelWarmup.Input) -> WarmUpInput:
    where = "model_warmup", at, "inputs"
    kind, dims = given.WhichOneof("input_data_type"), tuple(given.dims)
    if kind is None:
        raise config.error(f"'{name}': set zero_data, random_data or input_data_file", *where)
    if any(size < 0 for size in dims) or rows * math.prod(dims) > _MOST_ELEMENTS:
        raise config.error(
            f"'{name}': dims {list(dims)} are not sizes of at most {_MOST_ELEMENTS} elements", *where
        )
    file = PurePosixPath(given.input_data_file)
    if file.is_absolute() or ".." in file.parts or "\0" in str(file):
        raise config.error(f"'{name}': '{file}' is no file of the folder warmup", *where)
    return WarmUpInput(name, datatype_of(given.data_type), dims, kind == "random_data", given.input_data_file)

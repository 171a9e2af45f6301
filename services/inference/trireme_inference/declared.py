"""What a spec declares of a model's tensors, against what the model file has."""

from __future__ import annotations

from trireme_common.errors import SpecError
from trireme_common.stage_state import TensorInfo


def agreed(
    kind: str, declared: tuple[TensorInfo, ...], actual: tuple[TensorInfo, ...], source: str
) -> tuple[TensorInfo, ...]:
    """The declared tensors where they fit the model file's, else SpecError; the file's where none are
    declared. A declared shape may be narrower than the file's; outputs may be left out."""
    if not declared:
        return actual
    have = {info.name: info for info in actual}
    for info in declared:
        real = have.get(info.name)
        if real is None:
            raise SpecError(f"{source} declares {kind} '{info.name}'; the model file has {', '.join(have)}")
        if info.datatype != real.datatype:
            raise SpecError(
                f"{kind} '{info.name}': {source} says {info.datatype}, the model file has {real.datatype}"
            )
        if len(info.shape) != len(real.shape) or any(
            there not in (-1, said) for said, there in zip(info.shape, real.shape, strict=True)
        ):
            raise SpecError(
                f"{kind} '{info.name}': {source} says shape {list(info.shape)}, "
                f"the model file has {list(real.shape)}"
            )
    left_out = [name for name in have if name not in {info.name for info in declared}]
    if left_out and kind == "input":
        raise SpecError(f"the model file also takes input '{left_out[0]}', which {source} does not declare")
    return declared

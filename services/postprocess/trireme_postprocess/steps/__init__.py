"""Steps that turn one item's raw output into its answer.

`VOCABULARY` is all that model.yaml may name under `postprocess`; `build_chain` builds the chain of
a model version. The output tensor of one item arrives without its batch dimension, as float64:
kind `scores` for the classification tasks, kind `vector` for the others.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from trireme_common.steps import Assets, Chain, Vocabulary
from trireme_postprocess.steps.classification import Filter, Labels, Sort, Threshold, TopK
from trireme_postprocess.steps.scores import Sigmoid, Softmax
from trireme_postprocess.steps.vector import Normalize, Round, Scale

VOCABULARY = Vocabulary(
    "postprocess", (Softmax, Sigmoid, Labels, Threshold, TopK, Filter, Sort, Normalize, Scale, Round)
)

CLASSIFICATION_TASKS = ("text-classification", "image-classification")

# Steps that choose among labels or order them: without them a chain answers with all, in order.
RESHAPING_STEPS = (Threshold.name, TopK.name, Filter.name, Sort.name)

_TAKE_SCORES = (Softmax.name, Sigmoid.name, Labels.name)


def build_chain(task: str, specs: Sequence[tuple[str, Mapping[str, Any]]], assets: Assets) -> Chain:
    """Chain of a model of `task`: float64 [C] to Classification, or float64 [k] to float64 [k].

    A classification without a `labels` step gets one that calls its classes "0", "1", ...
    Raises SpecError like `Vocabulary.build`.
    """
    if task not in CLASSIFICATION_TASKS:
        return VOCABULARY.build(specs, assets, "vector")
    names = [name for name, _ in specs]
    if Labels.name not in names:
        place = next((at for at, name in enumerate(names) if name not in _TAKE_SCORES), len(names))
        specs = [*specs[:place], (Labels.name, {}), *specs[place:]]
    return VOCABULARY.build(specs, assets, "scores")


__all__ = ["CLASSIFICATION_TASKS", "RESHAPING_STEPS", "VOCABULARY", "build_chain"]

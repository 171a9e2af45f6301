"""Items for `trireme optimize --samples`, of the data that the models that ship were made from:

    python -m trireme_lab.sample_items sentiment-zh --count 1000 > reviews.jsonl

Reviews are those of the validation part; digits and rows are spread over the whole set, because what is
asked of them is whether two models agree, not whether they are right.
"""

from __future__ import annotations

import argparse
import base64
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.datasets import load_diabetes, load_digits

from trireme_lab import pictures, reviews

_SEED = 42


def _reviews(count: int) -> list[Any]:
    return _spread(reviews.load(_SEED).validation.lines, count)


def _digits(count: int) -> list[Any]:
    """Pictures in every form that the model's accuracy is stated for, in turn."""
    forms = list(pictures.variants().values())
    chosen = _spread(load_digits().images, count)
    files = [forms[at % len(forms)](digit) for at, digit in enumerate(chosen)]
    return [{"b64": base64.b64encode(file).decode()} for file in files]


def _rows(count: int) -> list[Any]:
    return [row.tolist() for row in _spread(load_diabetes(scaled=False).data, count)]


ITEMS: Mapping[str, Callable[[int], list[Any]]] = {
    "sentiment-zh": _reviews,
    "digits": _digits,
    "tabular": _rows,
}


def _spread(values: Sequence[Any] | np.ndarray, count: int) -> list[Any]:
    """`count` of the values, evenly spread; all where there are fewer."""
    at = np.unique(np.linspace(0, len(values) - 1, min(count, len(values))).round().astype(int))
    return [values[position] for position in at]


def main(arguments: Sequence[str]) -> int:
    """Writes one line of JSON an item to standard output."""
    parser = argparse.ArgumentParser(prog="python -m trireme_lab.sample_items", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("model", choices=tuple(ITEMS))
    parser.add_argument("--count", type=int, default=1000)
    given = parser.parse_args(arguments)
    for item in ITEMS[given.model](given.count):
        print(json.dumps(item, ensure_ascii=False))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

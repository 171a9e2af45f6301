"""What is inferred: models, distinct items for each, and what ONNX Runtime alone answers to them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime

from benchmarks.payloads import SEED, chinese_reviews, english_texts
from benchmarks.peers.catalog import ROOT, TensorItem
from benchmarks.peers.foreign.work import Item, TensorWork, TextWork
from trireme_common.tensors import datatype_of

CACHE = ROOT / "build" / "models"
TEXT, IMAGE = "text", "image"
_ONE_THREAD = 1


@dataclass(frozen=True)
class BenchModel:
    """A model file. `build` gives its folder; `items` so many distinct items for it."""

    name: str
    note: str
    kind: str
    build: Callable[[], Path]
    items: Callable[[TensorWork, int], list[Item]]
    most: int = 1024
    """Most distinct items."""


def _committed(path: Path) -> Callable[[], Path]:
    return lambda: path


def _encoder() -> Path:
    from benchmarks.models import encoder  # torch takes seconds to import, and only this needs it

    return encoder.build(CACHE / "encoder")


def _cnn() -> Path:
    from benchmarks.models import cnn

    return cnn.build(CACHE / "cnn")


def _texts(draw: Callable[[int], list[str]]) -> Callable[[TensorWork, int], list[Item]]:
    """Texts through the model's own steps, of the one length that most have: frameworks differ in whether
    they can put unequal lengths together, which is not what is measured here."""

    def items(work: TensorWork, number: int) -> list[Item]:
        assert isinstance(work, TextWork)
        made = [work.item(text) for text in draw(2 * number)]
        ((shape, _),) = Counter(item.tensors[0].shape for item in made).most_common(1)
        return [item for item in made if item.tensors[0].shape == shape][:number]

    return items


def _ids(work: TensorWork, number: int) -> list[Item]:
    from benchmarks.models import encoder

    return [Item((ids,)) for ids in encoder.sentences(number, SEED)]


def _tokens(work: TensorWork, number: int) -> list[Item]:
    """64 tokens, none of them padding; inputs are the ids and, where the model has it, the mask."""
    random = np.random.Generator(np.random.PCG64(SEED))
    ids = random.integers(1000, 20_000, (number, 64))
    fill = [np.ones(64, dtype) for dtype in work.dtypes[1:]]
    return [Item((row.astype(work.dtypes[0]), *fill)) for row in ids]


def _pictures(work: TensorWork, number: int) -> list[Item]:
    from benchmarks.models import cnn

    return [Item((picture,)) for picture in cnn.pictures(number, SEED)]


MODELS: Sequence[BenchModel] = (
    BenchModel("encoder", "BERT-mini's size, 64 tokens, random weights", TEXT, _encoder, _ids),
    BenchModel(
        "cnn",
        "MobileNetV2's size, 224 x 224, the pixels as the body (150,528 bytes)",
        IMAGE,
        _cnn,
        _pictures,
        most=128,
    ),
    BenchModel(
        "minilm",
        "the sentence encoder, 64 tokens (`make model-minilm`)",
        TEXT,
        _committed(ROOT / "models" / "minilm"),
        _tokens,
        most=512,
    ),
    BenchModel(
        "sentiment-zh",
        "the tensors of Chinese reviews",
        TEXT,
        _committed(ROOT / "models" / "sentiment-zh"),
        _texts(chinese_reviews),
    ),
    BenchModel(
        "trivial",
        "the tensors of English lines; next to no computation",
        TEXT,
        _committed(ROOT / "benchmarks" / "models" / "trivial"),
        _texts(english_texts),
    ),
)


@dataclass(frozen=True)
class Prepared:
    """A model's folder, items and right answers."""

    model: BenchModel
    folder: Path
    items: list[TensorItem]
    expected: list[tuple[float, ...]]

    @property
    def output(self) -> str:
        """Name of the output that is asked for."""
        return str(self._session().get_outputs()[0].name)

    def _session(self) -> onnxruntime.InferenceSession:
        return onnxruntime.InferenceSession(str(self.folder / "1" / "model.onnx"))


def prepare(model: BenchModel, number: int) -> Prepared:
    """Raises FileNotFoundError where a model is not built."""
    folder = model.build()
    if not (folder / "1" / "model.onnx").is_file():
        raise FileNotFoundError(f"{folder / '1' / 'model.onnx'} is not there")
    with_steps = model.name in ("sentiment-zh", "trivial")
    work = (TextWork if with_steps else TensorWork)(folder, _ONE_THREAD)
    made = model.items(work, min(number, model.most))
    expected = [_alone(work, item) for item in made]
    return Prepared(model, folder, [tensor_item(work.names, item) for item in made], expected)


def _alone(work: TensorWork, item: Item) -> tuple[float, ...]:
    row: npt.NDArray[np.float32] = work.run([item])[0]
    return tuple(map(float, row.ravel()))


def tensor_item(names: Sequence[str], item: Item) -> TensorItem:
    """`item` with a batch dimension of 1, as bytes."""
    return TensorItem(
        names=tuple(names),
        datatypes=tuple(datatype_of(tensor.dtype) for tensor in item.tensors),
        shapes=tuple((1, *tensor.shape) for tensor in item.tensors),
        data=tuple(np.ascontiguousarray(tensor).tobytes() for tensor in item.tensors),
    )

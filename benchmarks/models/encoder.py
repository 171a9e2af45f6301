"""Builds a text model of BERT-mini's size: 4 layers of 256, sequences of 64, a few milliseconds an item.

The weights are drawn from a fixed seed, which is all that speed needs. The sizes are those of Turc et al.,
"Well-Read Students Learn Better" (2019), with a smaller vocabulary.

`python -m benchmarks.models.encoder [--output DIR]`; what it writes (21 MB) is not committed.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from trireme_lab import export

SEED = 11
LENGTH = 64
VOCABULARY = 8192
CLASSES = 3
_WIDTH, _HEADS, _LAYERS = 256, 4, 4
_TOLERANCE = 1e-3
_STAMP = "built-by"


class Layer(nn.Module):
    """Self-attention and a feed-forward part, each added to its input and normalised."""

    def __init__(self) -> None:
        super().__init__()
        self.query, self.key, self.value, self.out = (nn.Linear(_WIDTH, _WIDTH) for _ in range(4))
        self.widen, self.narrow = nn.Linear(_WIDTH, 4 * _WIDTH), nn.Linear(4 * _WIDTH, _WIDTH)
        self.first, self.second = nn.LayerNorm(_WIDTH), nn.LayerNorm(_WIDTH)

    def forward(self, value: Tensor) -> Tensor:
        query, key, content = (
            part(value).view(-1, LENGTH, _HEADS, _WIDTH // _HEADS).transpose(1, 2)
            for part in (self.query, self.key, self.value)
        )
        scores = query @ key.transpose(2, 3) / (_WIDTH // _HEADS) ** 0.5
        mixed = (scores.softmax(3) @ content).transpose(1, 2).reshape(-1, LENGTH, _WIDTH)
        value = self.first(value + self.out(mixed))
        narrowed: Tensor = self.second(value + self.narrow(nn.functional.gelu(self.widen(value))))
        return narrowed


class Encoder(nn.Module):
    """INT32 ids [N, 64] to FP32 logits [N, 3]."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(VOCABULARY, _WIDTH)
        self.places = nn.Parameter(torch.randn(LENGTH, _WIDTH) * 0.1)
        self.layers = nn.Sequential(*(Layer() for _ in range(_LAYERS)))
        self.classify = nn.Linear(_WIDTH, CLASSES)

    def forward(self, ids: Tensor) -> Tensor:
        hidden = self.layers(self.words(ids) + self.places)
        logits: Tensor = self.classify(hidden.mean(1)) * 10
        return logits


def sentences(count: int, seed: int) -> np.ndarray:
    """int32 [count, 64]: words drawn at random."""
    random = np.random.Generator(np.random.PCG64(seed))
    return random.integers(0, VOCABULARY, (count, LENGTH), dtype=np.int32)


def build(path: Path) -> Path:
    """Writes `path`/1/model.onnx, of which the answers were compared with torch's, and returns `path`.

    A folder that this very script wrote before is left as it is, so that it may be a cache.
    """
    stamp = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()
    if (path / _STAMP).is_file() and (path / _STAMP).read_text("utf-8") == stamp:
        return path
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        model = Encoder().eval()
    file = path / "1" / "model.onnx"
    file.parent.mkdir(parents=True, exist_ok=True)
    ids = sentences(8, SEED)
    export.to_onnx(model, {"ids": torch.from_numpy(ids[:2])}, ["logits"], file, dynamic={"ids": {0: "batch"}})
    export.check_batches(model, file, {"ids": ids}, _TOLERANCE)
    (path / _STAMP).write_text(stamp, "utf-8")
    return path


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path("build/models/encoder"), help="folder to write")
    print(build(parser.parse_args().output))
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Builds an image model of MobileNetV2's size: 224 x 224 pixels, 300 million multiplications a picture.

The weights are drawn from a fixed seed, which is all that speed needs; the normalisations and the last
bias are fitted to made-up pictures, so that the labels differ from picture to picture. The layers are
those of table 2 in Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks" (2018).

`python -m benchmarks.models.cnn [--output DIR]`; what it writes (9 MB) is not committed.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from pathlib import Path

import numpy as np
import torch
import yaml
from torch import Tensor, nn

SEED = 7
SIDE = 224
CLASSES = 16
LABELS = [f"class-{number:02}" for number in range(CLASSES)]
TOLERANCE = 1e-3
# Expansion, channels, repetitions, stride of the first.
_BLOCKS = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
_LAST_CHANNELS = 1280
_STAMP = "built-by"


class Block(nn.Module):
    """An inverted residual: widens, filters each channel by itself, narrows; adds its input where it fits."""

    def __init__(self, channels: int, out: int, expansion: int, stride: int) -> None:
        super().__init__()
        wide = channels * expansion
        widen = _filter(channels, wide, 1) if expansion > 1 else []
        self.layers = nn.Sequential(
            *widen, *_filter(wide, wide, 3, stride, groups=wide), *_filter(wide, out, 1)[:2]
        )
        self.adds = stride == 1 and channels == out

    def forward(self, value: Tensor) -> Tensor:
        out: Tensor = self.layers(value)
        return value + out if self.adds else out


class Network(nn.Module):
    """UINT8 [N, 3, 224, 224] to FP32 logits [N, 16]; computes in the type of its weights."""

    def __init__(self) -> None:
        super().__init__()
        layers, channels = _filter(3, 32, 3, 2), 32
        for expansion, out, repetitions, stride in _BLOCKS:
            for number in range(repetitions):
                layers.append(Block(channels, out, expansion, stride if number == 0 else 1))
                channels = out
        self.layers = nn.Sequential(*layers, *_filter(channels, _LAST_CHANNELS, 1))
        self.classify = nn.Linear(_LAST_CHANNELS, CLASSES)

    def forward(self, image: Tensor) -> Tensor:
        pixels = image.to(self.classify.weight.dtype) / 127.5 - 1
        logits: Tensor = self.classify(self.layers(pixels).mean((2, 3)))
        return logits.float()


def _filter(channels: int, out: int, size: int, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    convolution = nn.Conv2d(channels, out, size, stride, size // 2, groups=groups, bias=False)
    return [convolution, nn.BatchNorm2d(out), nn.ReLU6()]


def pictures(count: int, seed: int) -> np.ndarray:
    """uint8 [count, 3, 224, 224]: soft coloured patches under a little noise."""
    random = np.random.Generator(np.random.PCG64(seed))
    coarse = random.integers(0, 256, (count, 3, 8, 8)).astype(np.float32)
    soft = nn.functional.interpolate(torch.from_numpy(coarse), (SIDE, SIDE), mode="bicubic").numpy()
    noise = random.normal(0, 8, soft.shape).astype(np.float32)
    return np.clip(soft + noise, 0, 255).astype(np.uint8)


def network() -> Network:
    """The model, ready to infer; every call gives the same weights."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(SEED)
        model = Network()
        for module in model.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out")
            elif isinstance(module, nn.BatchNorm2d):
                module.momentum = 1.0
        examples = torch.from_numpy(pictures(6, SEED))
        model.train()(examples)
        logits = model.eval()(examples)
        scale = 2 / logits.std(0).mean()
        model.classify.weight *= scale
        model.classify.bias.copy_((model.classify.bias - logits.mean(0)) * scale)
    return model


def build(path: Path) -> Path:
    """Writes the model's folder at `path`, whose last part becomes the model's name, and returns `path`.

    model.yaml, golden.json and 1/model.onnx, of which the answers were compared with torch's. A folder
    that this very script wrote before is left as it is, so that it may be a cache.
    """
    stamp = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()
    if (path / _STAMP).is_file() and (path / _STAMP).read_text("utf-8") == stamp:
        return path
    # Here, because the network alone is used where there is neither onnx nor ONNX Runtime.
    from trireme_lab import export

    model = network()
    version = path / "1"
    version.mkdir(parents=True, exist_ok=True)
    (path / "model.yaml").write_text(yaml.safe_dump(_spec(path.name), sort_keys=False), "utf-8")
    images = pictures(32, SEED + 1)
    example = torch.from_numpy(images[:2])
    export.to_onnx(
        model, {"image": example}, ["logits"], version / "model.onnx", dynamic={"image": {0: "batch"}}
    )
    with torch.no_grad():
        golden = model(example[:1]).numpy()
    export.write_golden(path / "golden.json", {"image": images[:1]}, {"logits": golden}, TOLERANCE)
    export.check_golden(path / "golden.json", version / "model.onnx")
    export.check_batches(model, version / "model.onnx", {"image": images}, TOLERANCE)
    (path / _STAMP).write_text(stamp, "utf-8")
    return path


def _spec(name: str) -> dict[str, object]:
    to_tensor = {"tensor": "image", "layout": "NCHW", "datatype": "UINT8"}
    return {
        "name": name,
        "task": "image-classification",
        "backend": "onnxruntime",
        "inputs": [{"name": "image", "datatype": "UINT8", "shape": [-1, 3, SIDE, SIDE]}],
        "outputs": [{"name": "logits", "datatype": "FP32", "shape": [-1, CLASSES]}],
        "preprocess": [
            {"decode_image": {"mode": "RGB", "draft_side": SIDE}},
            {"resize": {"height": SIDE, "width": SIDE}},
            {"to_tensor": to_tensor},
        ],
        "postprocess": ["softmax", {"labels": {"names": LABELS}}],
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path("build/models/cnn"), help="folder to write")
    print(build(parser.parse_args().output))
    return 0


if __name__ == "__main__":
    sys.exit(main())

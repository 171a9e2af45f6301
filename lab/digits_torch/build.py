"""Builds models/digits-torch: the network of models/digits with its trained weights, for the torch backend.

The weights are read from models/digits/1/model.onnx into the torch network of its train.py, which is then
exported with torch.export; golden.json is what that network answers. Its labels must be those that
onnxruntime gives on every picture of the test, otherwise the script exits 1. What it writes is not
committed (`make model-digits-torch`).
"""

from __future__ import annotations

import argparse
import importlib.util
import math
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import onnx
import torch
import yaml
from onnx import numpy_helper
from sklearn.datasets import load_digits
from torch import Tensor, nn

from trireme_lab import export, folder, pictures
from trireme_lab.torch_export import to_program

MODELS = Path(__file__).resolve().parents[2] / "models"
DIGITS = MODELS / "digits"
TOLERANCE = 1e-4


def trained() -> nn.Module:
    """The network with the weights that ship: UINT8 [N, 1, 20, 20] to FP32 logits [N, 10]."""
    network: nn.Module = _train_script().Network()
    graph = onnx.load(str(DIGITS / "1" / "model.onnx")).graph
    state = {
        tensor.name: torch.from_numpy(numpy_helper.to_array(tensor).copy()) for tensor in graph.initializer
    }
    wanted = network.state_dict()
    network.load_state_dict({name: _weight(name, wanted[name], state) for name in wanted})
    return network.eval()


def _train_script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("train_digits", DIGITS / "train.py")
    if spec is None or spec.loader is None:
        raise FileNotFoundError(DIGITS / "train.py")
    module = importlib.util.module_from_spec(spec)
    # Its dataclasses look their module up by name.
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def _weight(name: str, like: Tensor, state: dict[str, Tensor]) -> Tensor:
    """The exporter merges a normalisation that follows a convolution into that: its weights hold the scale
    and it has a bias, with which a normalisation that does nothing else stands for the merged one."""
    if name in state:
        return state[name]
    layer, _, part = name.removeprefix("layers.").partition(".")
    if part in ("running_mean", "num_batches_tracked"):
        return torch.zeros_like(like)
    if part == "running_var":
        return torch.ones_like(like)
    if part == "weight":
        return torch.full_like(like, math.sqrt(1 + nn.BatchNorm2d(1).eps))
    convolution = max(int(key.split(".")[1]) for key in state if _is_merged(key, int(layer)))
    return state[f"layers.{convolution}.weight_bias"]


def _is_merged(key: str, before: int) -> bool:
    return key.endswith(".weight_bias") and int(key.split(".")[1]) < before


def write(output: Path) -> int:
    """Writes the model's folder; returns how many labels differ from onnxruntime's."""
    version = output / "1"
    version.mkdir(parents=True, exist_ok=True)
    network = trained()
    digits = [pictures.encode(pictures.grey(digit.reshape(8, 8))) for digit in load_digits().data[:400]]
    chain = folder.ModelFolder(DIGITS).preprocess()
    images = np.stack([chain(digit)["image"] for digit in digits])
    example = torch.from_numpy(images[:2])
    to_program(network, {"image": example}, version / "model.pt2", dynamic={"image": {0: "batch"}})
    with torch.no_grad():
        logits = network(torch.from_numpy(images)).numpy()
    export.write_golden(output / "golden.json", {"image": images[:2]}, {"logits": logits[:2]}, TOLERANCE)
    spec = yaml.safe_load((DIGITS / "model.yaml").read_text("utf-8"))
    spec |= {"name": output.name, "backend": "torch"}
    spec["digests"] = {"1/model.pt2": folder.sha256(version / "model.pt2")}
    (output / "model.yaml").write_text(yaml.safe_dump(spec, allow_unicode=True, sort_keys=False), "utf-8")
    served = export.session(DIGITS / "1" / "model.onnx").run(["logits"], {"image": images})[0]
    return int((np.asarray(served).argmax(1) != logits.argmax(1)).sum())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--output", type=Path, default=MODELS / "digits-torch", help="model directory to write"
    )
    output: Path = parser.parse_args().output
    different = write(output)
    print(f"{output}: {different} of 400 labels differ from those of digits")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())

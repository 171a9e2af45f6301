"""Writes the trivial model: a weighted count of n-grams, its weights drawn from a fixed seed.

`python benchmarks/models/trivial/make.py [--output DIR]`; two runs write the same bytes.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

HERE = Path(__file__).resolve().parent
SEED = 5
CLASSES = 3
LENGTH = 64
PAIRS = """
    th he in er an re on at en nd ti es or te of ed is it al ar st to nt ng se ha as ou io le ve co me de
    hi ri ro
"""
NGRAMS = [*"abcdefghijklmnopqrstuvwxyz ", *PAIRS.split()]
TOLERANCE = 1e-4


def weights() -> np.ndarray:
    """FP32 [1 + n-grams, CLASSES]: the row of padding is zero, each class sums to zero over the rest."""
    drawn = np.random.Generator(np.random.PCG64(SEED)).normal(size=(len(NGRAMS), CLASSES))
    drawn = np.round(drawn - drawn.mean(axis=0), 3)
    return np.vstack([np.zeros((1, CLASSES)), drawn]).astype(np.float32)


def model() -> onnx.ModelProto:
    """logits [N, CLASSES] = sum over L of weights[ids] x counts."""
    nodes = [
        helper.make_node("Gather", ["weights", "ids"], ["rows"]),
        helper.make_node("Unsqueeze", ["counts", "last"], ["factors"]),
        helper.make_node("Mul", ["rows", "factors"], ["terms"]),
        helper.make_node("ReduceSum", ["terms", "middle"], ["logits"], keepdims=0),
    ]
    graph = helper.make_graph(
        nodes,
        "trivial",
        [
            helper.make_tensor_value_info("ids", TensorProto.INT32, ["batch", LENGTH]),
            helper.make_tensor_value_info("counts", TensorProto.FLOAT, ["batch", LENGTH]),
        ],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", CLASSES])],
        [
            numpy_helper.from_array(weights(), "weights"),
            numpy_helper.from_array(np.array([2], np.int64), "last"),
            numpy_helper.from_array(np.array([1], np.int64), "middle"),
        ],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    made.producer_name = "trireme"
    onnx.checker.check_model(made, full_check=True)
    return made


def golden() -> dict[str, object]:
    """Two rows of ids and counts with the logits that numpy computes for them in double precision."""
    random = np.random.Generator(np.random.PCG64(SEED + 1))
    ids = np.zeros((2, LENGTH), np.int32)
    counts = np.zeros((2, LENGTH), np.float32)
    for row, known in enumerate((20, 45)):
        ids[row, :known] = random.permutation(np.arange(1, len(NGRAMS) + 1))[:known]
        counts[row, :known] = random.integers(1, 9, known)
    logits = (weights()[ids].astype(np.float64) * counts[:, :, np.newaxis]).sum(axis=1)
    inputs = [_tensor("ids", "INT32", ids), _tensor("counts", "FP32", counts)]
    outputs = [_tensor("logits", "FP32", np.round(logits, 6))]
    return {"request": {"inputs": inputs}, "response": {"outputs": outputs}, "tolerance": TOLERANCE}


def _tensor(name: str, datatype: str, array: np.ndarray) -> dict[str, object]:
    return {
        "name": name,
        "shape": list(array.shape),
        "datatype": datatype,
        "data": array.reshape(-1).tolist(),
    }


def write(directory: Path) -> None:
    """Writes everything but model.yaml into the model's directory."""
    version = directory / "1"
    version.mkdir(parents=True, exist_ok=True)
    (version / "model.onnx").write_bytes(model().SerializeToString(deterministic=True))
    (version / "ngrams.json").write_text(json.dumps(NGRAMS) + "\n", "utf-8")
    (directory / "golden.json").write_text(json.dumps(golden()) + "\n", "utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=HERE, help="model directory to write")
    write(parser.parse_args().output)

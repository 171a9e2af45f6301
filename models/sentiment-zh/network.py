"""The model: a linear part over TF-IDF beside a small network over the same n-grams."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

IDF, LINEAR, CUE = range(3)


@dataclass(frozen=True)
class Mapping:
    """From the two parts' logits to three probabilities; see README.md."""

    linear_share: float
    scale: float
    neutral_base: float
    neutral_cue: float


class Branch(nn.Module):
    """Embeddings of the most frequent n-grams, summed by TF-IDF weight, through two layers."""

    def __init__(self, ngrams: int, width: int = 32, hidden: int = 32, dropout: float = 0.5) -> None:
        super().__init__()
        self.ngrams = ngrams
        self.embedding = nn.Parameter(torch.randn(ngrams + 1, width) * 0.1)
        self.layers = nn.Sequential(
            nn.Dropout(dropout),
            nn.Linear(width, hidden),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, 1),
        )

    def bag(self, ids: Tensor, offsets: Tensor, weights: Tensor) -> Tensor:
        """Logits [N] of N texts whose known n-grams (weights of length 1 a text) lie end to end."""
        pooled = nn.functional.embedding_bag(
            ids, self.embedding, offsets, mode="sum", per_sample_weights=weights
        )
        logits: Tensor = self.layers(pooled).squeeze(1)
        return logits

    def forward(self, ids: Tensor, weights: Tensor) -> Tensor:
        """Logits [N] of padded texts [N, L]."""
        known = ids <= self.ngrams
        weights = torch.where(known, weights, 0.0)
        rows = nn.functional.embedding(torch.where(known, ids, 0), self.embedding)
        pooled = torch.bmm(unit(weights).unsqueeze(1), rows)
        logits: Tensor = self.layers(pooled.squeeze(1)).squeeze(1)
        return logits


class Sentiment(nn.Module):
    """INT32 ids [N, L] and FP32 counts [N, L] of distinct n-grams (0 is padding) to FP32
    probabilities [N, 3] of 负面, 中性, 正面. Padding does not change the answer."""

    def __init__(self, table: np.ndarray, bias: float, branch: Branch, mapping: Mapping) -> None:
        """`table` [V + 1, 3] holds each n-gram's IDF, linear weight and whether it is a cue of 中性."""
        super().__init__()
        self.table = nn.Parameter(torch.from_numpy(table.astype(np.float32)), requires_grad=False)
        self.bias = bias
        self.branch = branch
        self.mapping = mapping

    def forward(self, ids: Tensor, counts: Tensor) -> Tensor:
        columns = nn.functional.embedding(ids, self.table)
        frequency = torch.where(counts > 0, 1.0 + torch.log(torch.clamp(counts, min=1.0)), 0.0)
        weights = frequency * columns[:, :, IDF]
        tfidf = unit(weights)
        linear = (tfidf * columns[:, :, LINEAR]).sum(1) + self.bias
        cue = (tfidf * columns[:, :, CUE]).sum(1)
        share = self.mapping.linear_share
        polarity = self.mapping.scale * (share * linear + (1 - share) * self.branch(ids, weights))
        neutral = self.mapping.neutral_base + self.mapping.neutral_cue * cue
        return torch.softmax(torch.stack([-polarity, neutral, polarity], dim=1), dim=1)


def unit(weights: Tensor) -> Tensor:
    """Rows [N, L] at length 1; rows of zeros stay zero."""
    length = torch.sqrt((weights * weights).sum(1, keepdim=True))
    return weights / torch.clamp(length, min=1e-6)

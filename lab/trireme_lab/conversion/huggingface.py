"""Hugging Face directories: text encoders and text classifiers, from safetensors alone."""

from __future__ import annotations

import importlib
import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from trireme_lab.conversion.declaration import BATCH, Declared, Feeds
from trireme_lab.conversion.huggingface_config import CLASSIFIER, Config, read_config, read_pooling
from trireme_lab.conversion.source import Serving, Wanted, named
from trireme_lab.export import to_onnx
from trireme_lab.failure import LabFailure, LabUsage

_MOST_TOKENS = 512
_TOKENIZER = "tokenizer.json"
MISSING = "a Hugging Face directory needs transformers: pip install 'trireme-lab[huggingface]'"


class HuggingFace:
    """`input_ids` and `attention_mask` (INT64 [batch, tokens]) to what the task asks for."""

    kind = "Hugging Face directory"

    def __init__(self, module: nn.Module, vocabulary: int, output: str, serving: Serving) -> None:
        self._module = module
        self._output = output
        axes = (BATCH, "tokens")
        self.inputs = (
            Declared("input_ids", "INT64", axes, 0, vocabulary - 1),
            Declared("attention_mask", "INT64", axes, 1, 1),
        )
        self.serving = serving
        # Random masks of ones say nothing of padding.
        ids = np.random.default_rng(0).integers(0, vocabulary, (3, 12))
        mask = (np.arange(12) < np.array([[12], [7], [1]])).astype(np.int64)
        self.samples: Sequence[Feeds] = ({"input_ids": ids * mask, "attention_mask": mask},)

    def run(self, feeds: Feeds) -> Feeds:
        with torch.no_grad():
            answer = self._module(*(torch.from_numpy(feeds[each.name]) for each in self.inputs))
        return {self._output: answer.numpy()}

    def write_onnx(self, path: Path, example: Feeds, outputs: Sequence[Declared]) -> None:
        tensors = {each.name: torch.from_numpy(example[each.name]) for each in self.inputs}
        free = {each.name: each.free for each in self.inputs}
        with torch.no_grad():
            to_onnx(self._module, tensors, [each.name for each in outputs], path, dynamic=free)


class _Logits(nn.Module):
    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        logits: Tensor = self.model(input_ids=input_ids, attention_mask=attention_mask).logits
        return logits


class _Hidden(nn.Module):
    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        hidden: Tensor = self.model(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        return hidden


class _Embedding(nn.Module):
    """One vector a text: the mean over its real tokens or its first token, of length 1 if asked for."""

    def __init__(self, hidden: nn.Module, *, first_token: bool, normalize: bool) -> None:
        super().__init__()
        self.hidden = hidden
        self.first_token = first_token
        self.normalize = normalize

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        hidden: Tensor = self.hidden(input_ids, attention_mask)
        mask = attention_mask.unsqueeze(2).to(hidden.dtype)
        mean = (hidden * mask).sum(1) / torch.clamp(mask.sum(1), min=1e-9)
        vector = hidden[:, 0] if self.first_token else mean
        return nn.functional.normalize(vector, dim=1) if self.normalize else vector


def open_huggingface(path: Path, wanted: Wanted) -> HuggingFace:
    """Loads a local directory; nothing is downloaded, unpickled, or run from its own code. Raises
    LabFailure or LabUsage."""
    if wanted.inputs:
        raise LabUsage("--input is for sources that do not say what they take; a Hugging Face directory does")
    if not list(path.glob("*.safetensors")):
        raise LabFailure(
            f"{path} has no safetensors; save the model with save_pretrained(safe_serialization=True)"
        )
    config = read_config(path)
    task = wanted.task
    if task not in ("tensor", "text-embedding", "text-classification"):
        raise LabUsage(
            f"a Hugging Face directory becomes tensor, text-embedding or text-classification, not {task}"
        )
    if task == "text-classification" and not config.classifies:
        raise LabUsage(f"{path / 'config.json'} names no {CLASSIFIER} architecture, so there are no labels")
    model = _load(path, CLASSIFIER if config.classifies and task != "text-embedding" else "")
    module, output = _module(path, model, task, config.classifies)
    serving = _serving(path, config, task)
    if config.vocab_size is None:
        raise LabFailure(f"{path / 'config.json'} has no vocab_size, which says what token ids there are")
    return HuggingFace(module.eval(), config.vocab_size, *named_output(wanted, output), serving)


def named_output(wanted: Wanted, default: str) -> tuple[str]:
    """The name of the one output."""
    return (named(wanted.outputs or (default,), 1)[0],)


def _module(path: Path, model: Any, task: str, classifies: bool) -> tuple[nn.Module, str]:
    if task == "text-embedding":
        first_token = read_pooling(path).first_token
        embedding = _Embedding(_Hidden(model), first_token=first_token, normalize=_normalizes(path))
        return embedding, "sentence_embedding"
    return (_Logits(model), "logits") if classifies else (_Hidden(model), "last_hidden_state")


def _load(path: Path, head: str) -> Any:
    try:
        transformers = importlib.import_module("transformers")
    except ImportError as error:
        raise LabFailure(MISSING) from error
    kind = getattr(transformers, f"AutoModel{head}")
    try:
        transformers.utils.logging.set_verbosity_error()
        transformers.utils.logging.disable_progress_bar()
        with warnings.catch_warnings(action="ignore"):
            model, report = kind.from_pretrained(
                str(path),
                local_files_only=True,
                use_safetensors=True,
                trust_remote_code=False,
                attn_implementation="eager",
                dtype=torch.float32,
                output_loading_info=True,
            )
    except Exception as error:  # transformers raises OSError, ValueError, KeyError and more
        raise LabFailure(f"{path}: transformers cannot load it: {str(error).strip()[:300]}") from error
    _check_loaded(path, model, sorted(report["missing_keys"]))
    return model


def _check_loaded(path: Path, model: Any, missing: Sequence[str]) -> None:
    # Transformers would fill what is missing with random numbers and go on. A bare encoder's pooler, whose
    # keys have no prefix, is not used here; a classifier's is.
    missing = [key for key in missing if not key.startswith("pooler.")]
    if missing:
        raise LabFailure(f"{path} lacks weights of the model: {', '.join(missing[:3])}")
    if model.main_input_name != "input_ids" or model.config.is_encoder_decoder:
        raise LabFailure(
            f"{path}: only text encoders are exported from a Hugging Face directory; this is a "
            f"{type(model).__name__}: save it with torch.export.save and export the .pt2"
        )


def _serving(path: Path, config: Config, task: str) -> Serving:
    """Steps for the text tasks; the tokenizer's file is the version's own asset."""
    if task == "tensor":
        return Serving()
    if not (path / _TOKENIZER).is_file():
        raise LabFailure(f"{path} has no {_TOKENIZER}, which task {task} needs; export it as task tensor")
    most = min(config.max_position_embeddings or _MOST_TOKENS, _MOST_TOKENS)
    tokenize = {"tokenize": {"tokenizer": _TOKENIZER, "max_length": most, "datatype": "INT64"}}
    post = ["softmax", {"labels": {"names": config.labels}}] if task == "text-classification" else []
    return Serving(task, [tokenize], post, {_TOKENIZER: path / _TOKENIZER})


def _normalizes(path: Path) -> bool:
    """Whether the directory's modules.json ends a text's vector with length 1."""
    modules = path / "modules.json"
    try:
        return modules.is_file() and "Normalize" in json.dumps(json.loads(modules.read_text("utf-8")))
    except (OSError, ValueError) as error:
        raise LabFailure(f"{modules} cannot be read: {error}") from error

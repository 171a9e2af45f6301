"""A model that ships, on the torch backend: the same labels through the whole platform."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import httpx
import numpy as np
from sklearn.datasets import load_digits

from tests.support.platform import ROOT, copy_models, platform
from trireme_lab import pictures

BUILD = ROOT / "lab" / "digits_torch" / "build.py"


def test_digits_answer_the_same_on_both_backends(tmp_path: Path) -> None:
    models = copy_models(tmp_path / "models", "digits")
    command = [sys.executable, str(BUILD), "--output", str(models / "digits-torch")]
    subprocess.run(command, check=True, timeout=120, capture_output=True)
    digits = load_digits()
    chosen = np.random.default_rng(5).permutation(len(digits.data))[:24]
    files = [pictures.encode(pictures.grey(digits.data[at].reshape(8, 8))) for at in chosen]
    # A second waits for torch to be imported; the default is three.
    with (
        platform(models, tmp_path, "--redis", "off") as started,
        httpx.Client(base_url=started.url, timeout=30, headers={"content-type": "image/png"}) as client,
    ):
        for file in files:
            answers = [
                client.post(f"/v1/models/{name}/predict", content=file).raise_for_status().json()
                for name in ("digits", "digits-torch")
            ]
            onnx, torch = answers
            assert onnx["label"] == torch["label"]
            assert abs(onnx["confidence"] - torch["confidence"]) < 1e-4
        shown = client.get("/v2/models/digits-torch.inference").raise_for_status().json()
        assert shown["platform"] == "pytorch_export"

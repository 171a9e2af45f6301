"""TensorFlow SavedModels, by tf2onnx; both come with the lab's `tensorflow` extra."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import onnx

from trireme_common.tensors import datatype_of
from trireme_lab.conversion.declaration import BATCH, Axis, Declared, Feeds
from trireme_lab.conversion.source import Serving, Wanted, only_tensor
from trireme_lab.export import tidy
from trireme_lab.failure import LabFailure, LabUsage

SIGNATURE = "serving_default"
# The newest that tf2onnx 1.17 knows.
_OPSET = 18
_CONVERT_SECONDS = 1800
MISSING = "a SavedModel needs TensorFlow and tf2onnx: pip install 'trireme-lab[tensorflow]'"


class SavedModel:
    """Its signature `serving_default`: names, types and free axes are the signature's."""

    kind = "TensorFlow SavedModel"
    samples: Sequence[Feeds] = ()

    def __init__(self, path: Path, wanted: Wanted) -> None:
        self.serving: Serving = only_tensor(wanted, self.kind)
        if wanted.inputs or wanted.outputs:
            raise LabUsage(
                f"--input and --output are for other sources; a {self.kind} names its tensors itself"
            )
        self._path = path
        self._tensorflow = _tensorflow()
        try:
            # The signature lives only as long as what was loaded.
            self._loaded: Any = self._tensorflow.saved_model.load(str(path))
            self._signature: Any = self._loaded.signatures[SIGNATURE]
        except KeyError as error:
            raise LabFailure(
                f"{path} has no signature '{SIGNATURE}'; it has {list(self._loaded.signatures)}"
            ) from error
        except Exception as error:  # TensorFlow's errors share no base of their own
            raise LabFailure(f"{path}: TensorFlow cannot load it: {str(error).strip()[:300]}") from error
        _, specs = self._signature.structured_input_signature
        self.inputs = tuple(_declared(name, specs[name]) for name in sorted(specs))

    def run(self, feeds: Feeds) -> Feeds:
        tensors = {each.name: self._tensorflow.constant(feeds[each.name]) for each in self.inputs}
        answers = self._signature(**tensors)
        return {name: answers[name].numpy() for name in sorted(answers)}

    def write_onnx(self, path: Path, example: Feeds, outputs: Sequence[Declared]) -> None:
        command = [sys.executable, "-m", "tf2onnx.convert", "--saved-model", str(self._path)]
        command += ["--signature_def", SIGNATURE, "--opset", str(_OPSET), "--output", str(path)]
        ended = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=_CONVERT_SECONDS, check=False
        )
        if ended.returncode != 0 or not path.is_file():
            last = "\n".join(ended.stderr.strip().splitlines()[-3:])
            raise LabFailure(f"tf2onnx ended with code {ended.returncode}: {last}")
        onnx.save(tidy(onnx.load(str(path)), {each.name: each.free for each in self.inputs}), str(path))


def _tensorflow() -> Any:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
    try:
        importlib.import_module("tf2onnx")
        return importlib.import_module("tensorflow")
    except ImportError as error:
        raise LabFailure(MISSING) from error


def _declared(name: str, spec: Any) -> Declared:
    if spec.shape.rank is None:
        raise LabFailure(f"input '{name}' of the signature has no rank; save it with an input_signature")
    try:
        datatype = datatype_of(spec.dtype.as_numpy_dtype().dtype)
    except (KeyError, AttributeError, TypeError) as error:
        raise LabFailure(
            f"input '{name}' of the signature is {spec.dtype.name}; only numbers are served"
        ) from error
    axes: list[Axis] = []
    for at, size in enumerate(spec.shape.as_list()):
        axes.append(size if size is not None else BATCH if at == 0 else f"axis{at}")
    return Declared(name, datatype, tuple(axes))

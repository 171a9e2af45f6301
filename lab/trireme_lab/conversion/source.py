"""The port behind which a framework's model is run and written as ONNX; which adapter takes which file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from trireme_lab.conversion.declaration import Declared, Feeds
from trireme_lab.failure import LabUsage


class Source(Protocol):
    """A model of a framework, loaded for inference on the CPU."""

    @property
    def kind(self) -> str:
        """Name of the format, for people."""

    @property
    def inputs(self) -> tuple[Declared, ...]: ...

    @property
    def samples(self) -> Sequence[Feeds]:
        """Requests of its own that random ones would miss; may be empty."""

    @property
    def serving(self) -> Serving:
        """What model.yaml says beside the tensors."""

    def run(self, feeds: Feeds) -> Feeds:
        """The framework's own answer. Raises what the framework raises."""

    def write_onnx(self, path: Path, example: Feeds, outputs: Sequence[Declared]) -> None:
        """Writes the model as ONNX, with the names of `inputs` and `outputs`."""


@dataclass(frozen=True)
class Serving:
    """Steps and assets that the source itself knows of. `assets` are files by their name in the version."""

    task: str = "tensor"
    preprocess: list[Any] = field(default_factory=list)
    postprocess: list[Any] = field(default_factory=list)
    assets: dict[str, Path] = field(default_factory=dict)


@dataclass(frozen=True)
class Wanted:
    """What the command line says of the source. `inputs` and `outputs` are empty where it says nothing."""

    task: str = "tensor"
    inputs: tuple[Declared, ...] = ()
    outputs: tuple[str, ...] = ()


def open_source(path: Path, wanted: Wanted) -> Source:
    """Loads the model at `path` with the adapter of its format. Raises LabFailure or LabUsage."""
    # Each framework is imported only for a model of its own.
    if path.is_dir() and (path / "saved_model.pb").is_file():
        from trireme_lab.conversion.saved_model import SavedModel

        return SavedModel(path, wanted)
    if path.is_dir() and (path / "config.json").is_file():
        from trireme_lab.conversion.huggingface import open_huggingface

        return open_huggingface(path, wanted)
    if path.is_file() and path.suffix == ".pt":
        from trireme_lab.conversion.torchscript import TorchScript

        return TorchScript(path, wanted)
    if path.is_file() and path.suffix == ".pt2":
        from trireme_lab.conversion.torch_program import TorchProgram

        return TorchProgram(path, wanted)
    raise LabUsage(_unknown(path))


def named(names: Sequence[str], count: int) -> tuple[str, ...]:
    """Names of `count` outputs: those given, else `output`, or `output_0`, `output_1` ... Raises LabUsage."""
    if not names:
        return ("output",) if count == 1 else tuple(f"output_{at}" for at in range(count))
    if len(names) != count:
        raise LabUsage(f"{len(names)} --output names, but the model gives {count} outputs")
    return tuple(names)


def _unknown(path: Path) -> str:
    if not path.exists():
        return f"{path} does not exist; models are read from this machine only, never downloaded"
    if path.suffix == ".onnx":
        return f"{path} is ONNX already: put it into the repository as <models>/NAME/1/model.onnx"
    if path.suffix in (".pth", ".bin", ".pkl", ".pickle", ".ckpt", ".joblib", ".h5", ".keras"):
        return (
            f"{path} is not read: such files are pickles or need the code that made them; save the model "
            "with torch.export.save (.pt2), torch.jit.save (.pt), save_pretrained (a Hugging Face directory) "
            "or tf.saved_model.save"
        )
    return (
        f"{path} is of no known kind: a TorchScript .pt, a torch.export .pt2, a Hugging Face directory "
        "(config.json, model.safetensors) or a TensorFlow SavedModel (saved_model.pb)"
    )


def only_tensor(wanted: Wanted, kind: str) -> Serving:
    """Serving of a source that knows no steps. Raises LabUsage for a task that needs some."""
    if wanted.task in ("tensor", "tabular"):
        return Serving(wanted.task)
    raise LabUsage(
        f"a {kind} says nothing of how {wanted.task} inputs become tensors: export it as task tensor, then "
        "write task, preprocess and postprocess into its model.yaml (docs/steps.md)"
    )

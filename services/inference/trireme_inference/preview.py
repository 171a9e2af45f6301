"""What can be said of a version without loading it, so that a lazy one can be asked for."""

from __future__ import annotations

from dataclasses import replace

from trireme_common.repository import VersionFiles, content_digest
from trireme_common.stage_state import ModelDescriptor, TensorInfo
from trireme_inference.signature import Signature, batches
from trireme_inference.triton_model import config_json


def preview(files: VersionFiles) -> ModelDescriptor | None:
    """The descriptor of a version as its model.yaml declares it, its digests verified.

    None where model.yaml leaves the tensors to the model file, or the model is one of Triton's. What only
    a run can show, that a batch is answered as its rows alone, is known once it is loaded. Raises SpecError.
    """
    spec = files.spec
    if files.triton is not None or not (spec.inputs and spec.outputs):
        return None
    inputs = tuple(map(TensorInfo.of, spec.inputs))
    outputs = tuple(map(TensorInfo.of, spec.outputs))
    signature = Signature(inputs, outputs, spec.batching.max_batch_size > 0 and batches(inputs, outputs))
    digest = content_digest(files, with_model=True)
    return replace(
        ModelDescriptor.of(spec, digest=digest, platform=_platform(files)),
        max_batch_size=spec.batching.max_batch_size if signature.batchable else 0,
        config=config_json(files, signature),
    )


def _platform(files: VersionFiles) -> str:
    if files.spec.backend == "onnxruntime":
        return "onnxruntime_onnx"
    return "pytorch_export" if (files.directory / "model.pt2").is_file() else "pytorch_libtorch"

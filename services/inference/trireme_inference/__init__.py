"""Inference: tensors to tensors, batched across callers, on CPU or GPU."""

import os

# ONNX Runtime reports its use to its maker, and writes a file, unless this stands before its import.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

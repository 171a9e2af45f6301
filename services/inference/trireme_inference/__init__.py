"""Inference: tensors to tensors, batched across callers, on CPU or GPU."""

"""The postprocess service: tensors to answers."""

"""Inference measured beside ONNX Runtime alone and beside other serving frameworks."""

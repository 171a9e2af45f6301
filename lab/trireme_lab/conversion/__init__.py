"""`trireme export`: a model of another framework as a checked ONNX version of the repository."""

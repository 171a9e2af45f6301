"""Generated protobuf messages of the platform; written by scripts/generate_protos.py."""

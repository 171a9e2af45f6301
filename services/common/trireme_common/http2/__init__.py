"""One gRPC stream on an HTTP/2 connection of its own, run by the event loop itself (ADR 16)."""

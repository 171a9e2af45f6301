"""Triton's logging, trace and shared-memory extensions, whatever the transport."""

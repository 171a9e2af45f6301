"""The Open Inference Protocol as the gateway speaks it, whatever the transport."""

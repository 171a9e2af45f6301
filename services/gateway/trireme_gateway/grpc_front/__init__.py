"""The gRPC front door: the Open Inference Protocol's own service, on the same use cases as REST."""

from trireme_gateway.grpc_front.server import SERVICE, build_front

__all__ = ["SERVICE", "build_front"]

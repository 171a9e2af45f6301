"""`python -m trireme_common.healthcheck HOST:PORT [SERVICE]`: asks grpc.health.v1 once.

For whoever has no gRPC prober of its own: compose, an exec probe, a person in a container.
Exit codes: 0 serving, 1 not serving or not reachable, 2 usage.
"""

from __future__ import annotations

import sys

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

_TIMEOUT_SECONDS = 2.0
_USAGE = "usage: python -m trireme_common.healthcheck HOST:PORT [SERVICE]"


def serving(address: str, service: str) -> bool:
    """Whether `service` at `address` says SERVING; `""` is the server as a whole."""
    with grpc.insecure_channel(address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        request = health_pb2.HealthCheckRequest(service=service)
        try:
            answer = stub.Check(request, timeout=_TIMEOUT_SECONDS)
        except grpc.RpcError:
            return False
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


def main(arguments: list[str]) -> int:
    """Runs the command. Returns its exit code."""
    if len(arguments) not in (1, 2) or ":" not in arguments[0]:
        print(_USAGE, file=sys.stderr)
        return 2
    address, service = arguments[0], arguments[1] if len(arguments) == 2 else ""
    if serving(address, service):
        return 0
    print(f"{address} {service or 'overall'}: not serving", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""The clients that are asked, and their public calls as their classes have them."""

from __future__ import annotations

import importlib
import inspect
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ClientEntry:
    """`module` has the client's `class_name`; `cases` is our module with `BOOK` and `open_client`."""

    name: str
    title: str
    family: str
    module: str
    class_name: str
    cases: str

    def calls(self) -> list[str]:
        """Names of the public calls, read from the class itself."""
        client_class = getattr(importlib.import_module(self.module), self.class_name)
        members = inspect.getmembers(client_class, callable)
        return sorted(name for name, _ in members if not name.startswith("_"))


def _triton(name: str, title: str, module: str) -> ClientEntry:
    cases = "tests.conformance.triton"
    return ClientEntry(name, title, "tritonclient", module, "InferenceServerClient", cases)


CLIENTS = {
    entry.name: entry
    for entry in (
        _triton("triton-http", "http", "tritonclient.http"),
        _triton("triton-http-aio", "http.aio", "tritonclient.http.aio"),
        _triton("triton-grpc", "grpc", "tritonclient.grpc"),
        _triton("triton-grpc-aio", "grpc.aio", "tritonclient.grpc.aio"),
        ClientEntry(
            "kserve-rest", "REST", "kserve", "kserve", "InferenceRESTClient", "tests.conformance.kserve.rest"
        ),
        ClientEntry(
            "kserve-grpc", "gRPC", "kserve", "kserve", "InferenceGRPCClient", "tests.conformance.kserve.grpc"
        ),
    )
}

# Calls that may say that they are not supported: there may be no CUDA on the machine.
MAY_BE_UNSUPPORTED = frozenset(
    f"{verb}_cuda_shared_memory{what}"
    for verb, what in (("get", "_status"), ("register", ""), ("unregister", ""))
)
# Calls that cannot fail, whatever the server does: they only say what was registered at the client.
NEVER_FAIL = frozenset({"plugin"})

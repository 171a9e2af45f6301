"""The frameworks as the driver sees them: how each is started, asked and understood."""

from __future__ import annotations

import os
import socket
import sys
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import orjson

from benchmarks.figures import cores
from benchmarks.load.questions import AnswerForm
from benchmarks.peers.environments import interpreter
from benchmarks.peers.foreign.work import Mode, Setup
from trireme_cli.loadtest.http import build_request

ROOT = Path(__file__).resolve().parents[2]
_PACKAGES = ("protos", "services/common", "services/preprocess", "services/postprocess")
SINGLE_FILE = "single-file"
OCTETS = "application/octet-stream"


@dataclass(frozen=True)
class Setting:
    """What is varied. A batch of 1 is none; `delay_ms` is how long one may be waited for."""

    workers: int
    threads: int
    batch: int
    delay_ms: float = 1.0

    def __str__(self) -> str:
        if self == TUNED:
            return "as it tunes itself"
        workers = f"{self.workers} worker{'s' if self.workers > 1 else ''}"
        return f"{workers} x {self.threads} thread{'s' if self.threads > 1 else ''}, batch {self.batch}"


TUNED = Setting(0, 0, 0)
"""Nothing said: workers, threads and batch are the server's own choice, for the model that it loads."""


def settings() -> list[Setting]:
    """What is tried for every server: all cores in workers or in threads; no, small and large batches."""
    number = cores()
    tried = [Setting(number, 1, 32), Setting(number, 1, 4), Setting(number, 1, 1), Setting(1, number, 32)]
    return list(dict.fromkeys(tried))


def text_settings() -> list[Setting]:
    """The same for texts through the trivial model, which small batches only make dearer: larger ones."""
    number = cores()
    tried = [Setting(number, 1, 32), Setting(1, number, 32), Setting(number, 1, 64)]
    return list(dict.fromkeys(tried))


@dataclass(frozen=True)
class TensorItem:
    """One item of a model: names, datatypes and shapes (batch dimension 1 first) with raw bytes."""

    names: tuple[str, ...]
    datatypes: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]
    data: tuple[bytes, ...]

    @property
    def body(self) -> bytes:
        return b"".join(self.data)


@dataclass(frozen=True)
class Question:
    """A whole HTTP request, and where in the answer its result stands."""

    request: bytes
    form: AnswerForm
    path: tuple[str | int, ...] = ()


@dataclass(frozen=True)
class Peer:
    """A framework. `tensors` and `texts` make requests of (model, item)."""

    name: str
    module: str
    tensors: Callable[[str, TensorItem], Question]
    texts: Callable[[str, str], bytes]
    label: tuple[str | int, ...]
    """Where the label stands in an answer to a text."""
    shares: tuple[str | int, ...] | None = None
    """Where the list of probabilities stands; None is an object of them beside the label."""
    own_python: bool = False

    def python(self) -> Path:
        """Raises PeerMissingError where its environment is not there."""
        return Path(sys.executable) if self.own_python else interpreter(self.name)

    def command(self) -> list[str]:
        """Raises PeerMissingError."""
        return [str(self.python()), "-m", f"benchmarks.peers.foreign.{self.module}"]


def environment(setup: Setup, inherited: Mapping[str, str]) -> dict[str, str]:
    """Environment of a framework's process: the repository's source on its path, and nobody is told of it."""
    paths = [str(ROOT), *(str(ROOT / package) for package in _PACKAGES)]
    quiet = {
        "BENTOML_DO_NOT_TRACK": "true",
        "RAY_USAGE_STATS_ENABLED": "0",
        "PYTRITON_NO_TELEMETRY": "1",
        "DO_NOT_TRACK": "1",
    }
    # Ray's own switch for less overhead a request, which it reads when it is imported.
    fast = {"RAY_SERVE_THROUGHPUT_OPTIMIZED": "1"}
    return {**inherited, **quiet, **fast, "PYTHONPATH": os.pathsep.join(paths), **setup.environment()}


def make_setup(model: Path, mode: Mode, setting: Setting) -> Setup:
    """With free ports of loopback."""
    port, grpc_port, metrics_port = free_ports(3)
    return Setup(
        model=str(model),
        mode=mode,
        port=port,
        grpc_port=grpc_port,
        metrics_port=metrics_port,
        workers=setting.workers,
        threads=setting.threads,
        batch=setting.batch,
        delay_ms=setting.delay_ms,
    )


def free_ports(number: int) -> list[int]:
    """Ports that nothing listens on now."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(number)]
        return [int(each.getsockname()[1]) for each in sockets]


def _raw(path: str) -> Callable[[str, TensorItem], Question]:
    return lambda model, item: Question(build_request(path, OCTETS, item.body), "tail")


def _raw_text(path: str, content_type: str = "application/json") -> Callable[[str, str], bytes]:
    return lambda model, text: build_request(path, content_type, orjson.dumps({"texts": [text]}))


def binary_v2(path: str, item: TensorItem) -> Question:
    """Tensors behind the JSON, in the protocol's binary form, both ways."""
    parts = zip(item.names, item.datatypes, item.shapes, item.data, strict=True)
    inputs = [
        {
            "name": name,
            "datatype": datatype,
            "shape": shape,
            "parameters": {"binary_data_size": len(data)},
        }
        for name, datatype, shape, data in parts
    ]
    head = orjson.dumps({"inputs": inputs, "parameters": {"binary_data_output": True}})
    more = {"inference-header-content-length": str(len(head))}
    return Question(with_headers(build_request(path, OCTETS, head + item.body), more), "tail")


def with_headers(request: bytes, headers: Mapping[str, str]) -> bytes:
    """`request` with more headers."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    head, end, body = request.partition(b"\r\n\r\n")
    return head + b"\r\n" + lines.encode("ascii") + end[2:] + body


def _bytes_v2(name: str, element: str, model: str) -> bytes:
    body = {"inputs": [{"name": name, "datatype": "BYTES", "shape": [1, 1], "data": [element]}]}
    return build_request(f"/v2/models/{model}/infer", "application/json", orjson.dumps(body))


def _bentoml(element: str) -> bytes:
    return build_request("/predict", "application/json", orjson.dumps({"items": [element]}))


_RESULT: tuple[str | int, ...] = ("results", 0, "label")
_OUTPUT: tuple[str | int, ...] = ("outputs", 0, "data")
_SHARES: tuple[str | int, ...] = ("outputs", 1, "data")
PEERS: Sequence[Peer] = (
    Peer("mosec", "mosec_server", _raw("/inference"), _raw_text("/inference"), _RESULT),
    # JSON by another name: with its own, FastAPI would parse what LitServe's worker is to parse.
    Peer("litserve", "litserve_server", _raw("/predict"), _raw_text("/predict", OCTETS), _RESULT),
    Peer(
        "bentoml",
        "bentoml_server",
        lambda model, item: Question(_bentoml(b64encode(item.body).decode()), "base64", (0,)),
        lambda model, text: _bentoml(text),
        (0, "label"),
    ),
    Peer(
        "mlserver",
        "mlserver_server",
        lambda model, item: Question(
            _bytes_v2("body", b64encode(item.body).decode(), model), "floats", _OUTPUT
        ),
        lambda model, text: _bytes_v2("body", text, model),
        (*_OUTPUT, 0),
        _SHARES,
    ),
    Peer("ray", "ray_server", _raw("/"), _raw_text("/"), _RESULT),
    Peer(
        "pytriton",
        "pytriton_server",
        lambda model, item: binary_v2(f"/v2/models/{model}/infer", item),
        lambda model, text: _bytes_v2("text", text, model),
        (*_OUTPUT, 0),
        _SHARES,
    ),
    Peer(
        SINGLE_FILE, "single_file_server", _raw("/predict"), _raw_text("/predict"), _RESULT, own_python=True
    ),
)

"""The servers under measurement: ours by three doors, and those of others."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from benchmarks.figures import cores
from benchmarks.inference.doors import grpc_answers, http_answers, infer_message, payload
from benchmarks.inference.models import Prepared
from benchmarks.load.questions import Questions
from benchmarks.peers.catalog import (
    PEERS,
    SINGLE_FILE,
    TUNED,
    Peer,
    Setting,
    binary_v2,
    environment,
    free_ports,
    make_setup,
    settings,
)
from benchmarks.peers.running import Launch

STREAM, INFER, PLATFORM = "trireme-stream", "trireme-infer", "trireme"
OURS = (STREAM, INFER, PLATFORM)
"""Our inference service by its stream and by ModelInfer, and the whole platform over HTTP."""
OTHERS = (SINGLE_FILE, *(peer.name for peer in PEERS if peer.name != SINGLE_FILE))
NAMES = (*OURS, *OTHERS)


@dataclass(frozen=True)
class Started:
    """What to start, and where it will listen."""

    launch: Launch
    port: int


@dataclass(frozen=True)
class Server:
    """One server for one model. `start` raises PeerMissingError where it is not installed."""

    name: str
    settings: Sequence[Setting]
    questions: Questions
    start: Callable[[Setting], Started]
    like: str | None = None
    """Server whose best setting this one takes, being the same process by another door."""
    measured: Setting | None = None
    """What is measured whatever the trials say; None is the best of them."""


def servers(prepared: Prepared, home: Path, inherited: Mapping[str, str]) -> dict[str, Server]:
    """All servers of `NAMES`; `home` takes their files."""
    made = [*_ours(prepared, home, inherited)]
    made += [_peer(peer, prepared, home, inherited) for peer in PEERS]
    by_name = {server.name: server for server in made}
    return {name: by_name[name] for name in NAMES}


def _ours(prepared: Prepared, home: Path, inherited: Mapping[str, str]) -> list[Server]:
    name = prepared.model.name
    expected = tuple(prepared.expected)
    payloads = Questions("stream", name, tuple(map(payload, prepared.items)), expected)
    messages = Questions("infer", name, tuple(infer_message(name, item) for item in prepared.items), expected)
    path = f"/v2/models/{name}/infer"
    bodies = Questions(
        "http", name, tuple(binary_v2(path, item).request for item in prepared.items), expected
    )

    def service(setting: Setting) -> Started:
        (port,) = free_ports(1)
        more = {"TRIREME_INFERENCE_PORT": str(port), "TRIREME_LOG_LEVEL": "warning"}
        models = repository(prepared.folder, home / "models", name, setting)
        variables = {**inherited, **more, **_threads(setting), "TRIREME_MODELS_DIR": str(models)}
        command = (sys.executable, "-m", "trireme_inference")
        return Started(
            Launch(STREAM, command, variables, home / "inference", lambda: grpc_answers(messages, port)), port
        )

    def platform(setting: Setting) -> Started:
        port, grpc_port = free_ports(2)
        models = repository(prepared.folder, home / "models", name, setting)
        ports = ("--http-port", str(port), "--grpc-port", str(grpc_port), "--redis", "off", "--json")
        command = (sys.executable, "-m", "trireme_cli", "up", "--models", str(models), *ports)
        variables = {**inherited, **_threads(setting)}
        return Started(
            Launch(PLATFORM, command, variables, home / "platform", lambda: http_answers(bodies, port)), port
        )

    return [
        Server(STREAM, [TUNED, *settings()], payloads, service, measured=TUNED),
        Server(INFER, [TUNED], messages, service, like=STREAM),
        Server(PLATFORM, [TUNED], bodies, platform, like=STREAM),
    ]


def _threads(setting: Setting) -> dict[str, str]:
    """The instances of a model share these threads; where nothing is said, as many as there are cores."""
    threads = {"TRIREME_INFERENCE_THREADS": str(setting.workers * setting.threads)}
    return {} if setting == TUNED else threads


def repository(folder: Path, target: Path, name: str, setting: Setting) -> Path:
    """A model repository with the bare model: no steps, no cache; the rest as everybody has it."""
    shutil.rmtree(target, ignore_errors=True)
    version = target / name / "1"
    version.mkdir(parents=True)
    for file in (folder / "1").glob("model.onnx*"):
        shutil.copy2(file, version / file.name)
    spec: dict[str, object] = {"name": name, "task": "tensor", "backend": "onnxruntime"}
    spec["cache"] = {"enabled": False}
    if setting != TUNED:
        spec["batching"] = {"max_batch_size": setting.batch}
        spec["instances"] = {"count": setting.workers}
    (target / name / "model.yaml").write_text(yaml.safe_dump(spec, sort_keys=False), "utf-8")
    return target


def peer_settings(peer: Peer) -> list[Setting]:
    """What is tried for a framework. The single file knows no batches, so its threads are varied."""
    if peer.name != SINGLE_FILE:
        return settings()
    number = cores()
    return [Setting(number, 1, 1), Setting(2 * number, 1, 1), Setting(1, number, 1)]


def _peer(peer: Peer, prepared: Prepared, home: Path, inherited: Mapping[str, str]) -> Server:
    asked = [peer.tensors(prepared.model.name, item) for item in prepared.items]
    questions = Questions(
        "http",
        prepared.model.name,
        tuple(question.request for question in asked),
        tuple(prepared.expected),
        asked[0].form,
        asked[0].path,
    )

    def start(setting: Setting) -> Started:
        setup = make_setup(prepared.folder, "tensors", setting)
        variables = environment(setup, inherited)
        launch = Launch(
            peer.name,
            peer.command(),
            variables,
            home / peer.name,
            lambda: http_answers(questions, setup.port),
        )
        return Started(launch, setup.port)

    return Server(peer.name, peer_settings(peer), questions, start)

"""scripts/images.sh over engines that only write down what they are told."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.unit.images.dockerfiles import ROOT, SERVICES

_TOOLS = ("bash", "sed", "dirname", "cat", "git")


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """A PATH with what the script needs and no engine."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in _TOOLS:
        for place in os.get_exec_path():
            if (Path(place) / name).exists():
                (folder / name).symlink_to(Path(place) / name)
                break
    return folder


def _engine(tools: Path, name: str, *, answers: bool = True) -> None:
    script = tools / name
    log = tools.parent / "calls"
    script.write_text(
        f'#!/bin/bash\n[[ "$1" != info ]] || exit {int(not answers)}\necho "{name} $*" >> {log}\n'
    )
    script.chmod(0o755)


def _run(
    tools: Path, *arguments: str, **environment: str
) -> tuple[subprocess.CompletedProcess[str], list[str]]:
    done = subprocess.run(
        [ROOT / "scripts" / "images.sh", *arguments],
        env={"PATH": str(tools), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    log = tools.parent / "calls"
    return done, log.read_text().splitlines() if log.exists() else []


def test_without_an_engine_it_says_what_to_install(tools: Path) -> None:
    done, _ = _run(tools, "build")
    assert done.returncode == 1
    assert "neither docker nor buildah is here" in done.stderr


def test_a_docker_without_its_daemon_is_passed_over(tools: Path) -> None:
    _engine(tools, "docker", answers=False)
    done, _ = _run(tools, "build")
    assert done.returncode == 1
    assert "daemon does not answer" in done.stderr
    _engine(tools, "buildah")
    done, calls = _run(tools, "build")
    assert done.returncode == 0
    assert all(call.startswith("buildah bud ") for call in calls)


def test_torch_is_in_the_image_of_inference_alone(tools: Path) -> None:
    _engine(tools, "docker")
    done, calls = _run(tools, "build", TAG="1.0", TARGET="gpu-torch")
    assert done.returncode == 0, done.stderr
    for service, call in zip(SERVICES, calls, strict=True):
        target = "gpu-torch" if service == "inference" else "gpu"
        assert f"--target {target} --tag trireme-{service}:1.0-gpu-torch " in call


def test_every_service_is_built_with_the_target_and_the_tag(tools: Path) -> None:
    _engine(tools, "docker")
    done, calls = _run(
        tools, "build", REGISTRY="registry.example/team/", TAG="1.0", TARGET="gpu", BASE="mirror/base"
    )
    assert done.returncode == 0, done.stderr
    assert len(calls) == len(SERVICES)
    for service, call in zip(SERVICES, calls, strict=True):
        assert f"--file services/{service}/Dockerfile --target gpu" in call
        assert f"--tag registry.example/team/trireme-{service}:1.0-gpu " in call
        assert "--build-arg BASE=mirror/base" in call


def test_names_are_listed_for_mirroring(tools: Path) -> None:
    done, _ = _run(tools, "list", "gateway", "inference")
    assert done.stdout.splitlines() == ["trireme-gateway:0.1.0", "trireme-inference:0.1.0"]


def test_push_takes_the_cache_along(tools: Path) -> None:
    _engine(tools, "docker")
    done, calls = _run(tools, "push", REGISTRY="registry.example")
    assert done.returncode == 0, done.stderr
    assert calls[: len(SERVICES)] == [
        f"docker push registry.example/trireme-{name}:0.1.0" for name in SERVICES
    ]
    assert calls[len(SERVICES) :] == [
        "docker pull redis:7",
        "docker tag redis:7 registry.example/redis:7",
        "docker push registry.example/redis:7",
    ]


@pytest.mark.parametrize(
    ("arguments", "environment"),
    [
        (["nonsense"], {}),
        ([], {}),
        (["build", "nonsense"], {}),
        (["build"], {"TARGET": "tpu"}),
        (["build"], {"ENGINE": "rkt"}),
        (["push"], {}),
    ],
)
def test_a_wrong_call_is_usage(tools: Path, arguments: list[str], environment: dict[str, str]) -> None:
    _engine(tools, "docker")
    done, calls = _run(tools, *arguments, **environment)
    assert (done.returncode, calls) == (2, [])
    assert done.stderr

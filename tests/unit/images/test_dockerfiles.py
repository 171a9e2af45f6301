"""What an image is made of, as far as its Dockerfile says it."""

from __future__ import annotations

import json
import re
import tomllib

import pytest

from tests.unit.images.dockerfiles import BASE, ROOT, SERVICES, environment, instructions, read

_PORTS = {
    "gateway": "8080 8081 9090",
    "preprocess": "50051 9090",
    "inference": "50052 9090",
    "postprocess": "50053 9090",
}
every = pytest.mark.parametrize(
    ("service", "target"),
    [*((service, target) for service in SERVICES for target in ("cpu", "gpu")), ("inference", "gpu-torch")],
)


@pytest.mark.parametrize("service", SERVICES)
def test_every_stage_stands_on_the_one_base_image(service: str) -> None:
    stages = read(service)
    assert {stage.base for stage in stages.values()} - set(stages) == {"${BASE}"}
    assert f"ARG BASE={BASE}\n" in (ROOT / "services" / service / "Dockerfile").read_text()


@every
def test_the_service_starts_in_exec_form_as_a_numeric_user(service: str, target: str) -> None:
    (entrypoint,) = instructions(service, target, "ENTRYPOINT")
    assert json.loads(entrypoint) == ["python", "-m", f"trireme_{service}"]
    assert (ROOT / "services" / service / f"trireme_{service}" / "__main__.py").exists()
    assert instructions(service, target, "USER") == ["10001:10001"]
    assert instructions(service, target, "STOPSIGNAL") == ["SIGTERM"]
    assert instructions(service, target, "EXPOSE") == [_PORTS[service]]


@every
def test_nothing_but_tmp_is_written_and_everyone_can_be_reached(service: str, target: str) -> None:
    found = environment(service, target)
    prefix = f"TRIREME_{service.upper()}_"
    assert found["HOME"] == "/tmp"
    assert found["PYTHONDONTWRITEBYTECODE"] == "1"
    assert found[f"{prefix}HOST"] == "0.0.0.0"
    ports = " ".join(value for key, value in found.items() if re.fullmatch(rf"{prefix}(\w+_)?PORT", key))
    assert ports == _PORTS[service]
    assert not [key for key in found if "ANONYMOUS" in key]


@every
def test_models_are_baked_into_the_stages(service: str, target: str) -> None:
    copies = instructions(service, target, "COPY")
    assert ("models /models" in copies) == (service != "gateway")
    assert environment(service, target).get("TRIREME_MODELS_DIR") == (
        None if service == "gateway" else "/models"
    )


@every
def test_the_final_stage_installs_nothing_but_torchs_compiler(service: str, target: str) -> None:
    installs = [run for run in instructions(service, target, "RUN") if re.search(r"\bpip\b|\bapt", run)]
    assert not installs or target == "gpu-torch"
    assert [re.findall(r"recommends (.*?) &&", run) for run in installs] in ([], [["gcc g++ libc6-dev"]])


@pytest.mark.parametrize("service", SERVICES)
def test_what_is_installed_is_constrained_and_free_of_torch(service: str) -> None:
    runs = [
        run
        for name, stage in read(service).items()
        if not name.endswith("gpu-torch")
        for run in stage.all("RUN")
    ]
    installs = [part for run in runs for part in run.split("&&") if "pip install" in part]
    assert installs
    assert all("-c constraints.txt" in part or "--no-deps" in part for part in installs)
    assert not [run for run in runs if "torch" in run or "://" in run]


def test_only_the_gpu_image_of_inference_installs_cuda() -> None:
    assert any("inference[gpu]" in run for run in read("inference")["dependencies-gpu"].all("RUN"))
    assert any("inference[cpu]" in run for run in read("inference")["dependencies-cpu"].all("RUN"))
    for service in set(SERVICES) - {"inference"}:
        assert read(service)["gpu"].base == "cpu"
        assert read(service)["gpu"].instructions == []


@pytest.mark.parametrize("target", ["gpu", "gpu-torch"])
def test_the_driver_is_found_where_gke_mounts_it(target: str) -> None:
    assert environment("inference", target)["LD_LIBRARY_PATH"] == "/usr/local/nvidia/lib64"
    assert "LD_LIBRARY_PATH" not in environment("inference", "cpu")


def test_torch_comes_with_cuda_libraries_of_its_own() -> None:
    (torch,) = [run for run in read("inference")["dependencies-gpu-torch"].all("RUN") if "torch" in run]
    assert "inference[gpu,torch]" in torch
    assert "constraints-gpu.txt" not in torch
    assert "-c constraints.txt" in torch
    pinned = {line.partition("==")[0] for line in (ROOT / "constraints.txt").read_text().splitlines()}
    assert "torch" in pinned
    # NVML's binding is no part of CUDA: it carries no library, and suits every version.
    assert not {name for name in pinned - {"nvidia-ml-py"} if name.startswith("nvidia-")}


def test_what_is_copied_may_enter_the_build() -> None:
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert not [path for path in allowed if not (ROOT / path).exists()]
    for service in SERVICES:
        for stage in read(service).values():
            for copy in stage.all("COPY"):
                if not copy.startswith("--from"):
                    for source in copy.split()[:-1]:
                        assert [path for path in allowed if path == source or path.startswith(f"{source}/")]


def test_neither_training_nor_tests_enter_the_build() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert next(line for line in lines if not line.startswith("#")) == "*"
    assert not [
        line
        for line in lines
        if line.startswith("!") and re.search(r"train\.py|^!tests|README|^!lab|^!cli", line)
    ]


def test_one_version_everywhere() -> None:
    chart = (ROOT / "deploy/helm/trireme/Chart.yaml").read_text()
    version = tomllib.loads((ROOT / "services/gateway/pyproject.toml").read_text())["project"]["version"]
    assert f'appVersion: "{version}"' in chart
    compose = (ROOT / "compose.yaml").read_text()
    assert set(re.findall(r"\$\{TAG:-([^}]*)\}", compose)) == {version}
    for service in SERVICES:
        assert instructions(service, "cpu", "ARG")[0] == f"VERSION={version}"


@pytest.mark.parametrize("service", ["common", *SERVICES])
def test_every_file_of_a_package_is_installed_with_it(service: str) -> None:
    folder = ROOT / "services" / service
    patterns = [
        pattern
        for found in tomllib.loads((folder / "pyproject.toml").read_text())["tool"]["setuptools"][
            "package-data"
        ].values()
        for pattern in found
    ]
    package = folder / f"trireme_{service}"
    left_out = [
        str(path.relative_to(folder))
        for path in package.rglob("*")
        if path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(package).parts)
        and path.suffix not in (".py", ".pyc")
        and not any(path.match(pattern) for pattern in patterns)
    ]
    assert left_out == []

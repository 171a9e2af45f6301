"""compose.yaml: hardened, connected as the images expect, published on loopback alone."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from tests.unit.images.dockerfiles import ROOT, SERVICES, environment

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())


@pytest.mark.parametrize("name", [*SERVICES, "redis"])
def test_every_container_is_hardened_and_watched(name: str) -> None:
    service = COMPOSE["services"][name]
    assert service["read_only"] is True
    assert "/tmp" in service["tmpfs"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["healthcheck"]["test"][0] == "CMD"


@pytest.mark.parametrize("name", SERVICES)
def test_images_are_built_from_the_services_dockerfile(name: str) -> None:
    service = COMPOSE["services"][name]
    assert service["build"] == {
        "context": ".",
        "dockerfile": f"services/{name}/Dockerfile",
        "target": "cpu",
    }
    assert service["image"].startswith(f"${{REGISTRY:-}}trireme-{name}:")


def test_the_gateway_finds_the_stages_and_says_that_anyone_may_use_it() -> None:
    found = COMPOSE["services"]["gateway"]["environment"]
    for stage in ("preprocess", "inference", "postprocess"):
        port = environment(stage, "cpu")[f"TRIREME_{stage.upper()}_PORT"]
        assert found[f"TRIREME_GATEWAY_{stage.upper()}_ADDRESSES"] == f"{stage}:{port}"
    assert found["TRIREME_GATEWAY_ALLOW_ANONYMOUS"] == "true"
    assert found["TRIREME_GATEWAY_REDIS_URL"] == "redis://redis:6379/0"


def test_only_the_gateway_is_published_and_only_on_loopback() -> None:
    published = {name: service.get("ports", []) for name, service in COMPOSE["services"].items()}
    assert published.pop("gateway") == ["127.0.0.1:8080:8080", "127.0.0.1:8081:8081"]
    assert not any(published.values())
    assert COMPOSE["networks"]["stages"] == {"internal": True}

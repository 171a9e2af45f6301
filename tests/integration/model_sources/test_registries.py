"""OCI registries: tokens, digests, and blobs on another host."""

from __future__ import annotations

import base64
import json
import threading
from pathlib import Path

import pytest
from pydantic import SecretStr

from tests.integration.model_sources.sites import Site
from tests.support.oci_registry import Registry, digest
from tests.support.web_server import WebServer, file_answer
from trireme_common.remote.failure import Kind, SourceError
from trireme_common.remote.open_source import build_mirror


def test_a_registry_gives_a_token_for_credentials_and_a_new_one_when_it_ran_out(
    registry: Registry, site: Site
) -> None:
    registry.user = "robot:pass"
    with pytest.raises(SourceError) as denied:
        site.run(registry.url)
    assert denied.value.kind is Kind.DENIED
    login = {"models_source_username": "robot", "models_source_password": SecretStr("pass")}
    mirror, cache = build_mirror(site.settings(registry.url, **login), site.progress, threading.Event())
    with cache.lock():
        assert not mirror.run().failed
        registry.tokens.clear()
        registry.files["alpha/3/model.onnx"] = b"third"
        assert mirror.run().installed == ["alpha/3"]


def test_the_docker_configuration_holds_credentials_too(
    registry: Registry, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.user = "robot:pass"
    auth = base64.b64encode(b"robot:pass").decode()
    (tmp_path / "config.json").write_text(json.dumps({"auths": {registry.host: {"auth": auth}}}))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    assert not site.run(registry.url).failed


def test_blobs_may_lie_on_another_host_which_never_sees_the_token(registry: Registry, site: Site) -> None:
    registry.user = "robot:pass"
    blobs = {digest(body): body for body in registry.files.values()}
    storage = WebServer(lambda request: file_answer(blobs[request.path.strip("/")]))
    with storage.running():
        registry.blob_redirect = storage.url
        login = {"models_source_username": "robot", "models_source_password": SecretStr("pass")}
        assert not site.run(registry.url, **login).failed
    assert storage.requests
    assert not any("authorization" in request.headers for request in storage.requests)


def test_a_blob_with_another_digest_is_never_seen(registry: Registry, site: Site) -> None:
    registry.corrupt = True
    passed = site.run(registry.url)
    assert {error.kind for error in passed.failed.values()} == {Kind.CORRUPT}
    assert site.versions() == {}


def test_a_reference_by_digest_is_verified(registry: Registry, site: Site) -> None:
    by_digest = registry.url.replace(":v1", f"@{registry.digest}")
    assert not site.run(by_digest).failed


def test_packed_directories_are_refused_with_what_to_do(registry: Registry, site: Site) -> None:
    registry.extra_annotations = {"io.deis.oras.content.unpack": "true"}
    with pytest.raises(SourceError, match="push files, not directories"):
        site.run(registry.url)

"""Every kind of server on loopback, and an empty cache."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.integration.model_sources.sites import Remote, Site, repository
from tests.support.buckets import AzureContainer, Bucket
from tests.support.file_site import FileSite
from tests.support.oci_registry import Registry


@pytest.fixture(params=["http", "s3", "gs", "az", "oci"])
def remote(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Remote]:
    """The repository behind each kind of server."""
    prefixed = {f"team/models/{path}": body for path, body in repository().items()}
    with ExitStack() as stack:
        if request.param == "http":
            site = FileSite(repository())
            stack.enter_context(site.server.running())
            yield Remote(site.server, site.url, site.files)
        elif request.param == "oci":
            registry = Registry(repository())
            stack.enter_context(registry.server.running())
            yield Remote(registry.server, registry.url, registry.files)
        else:
            bucket = AzureContainer(prefixed) if request.param == "az" else Bucket(prefixed)
            stack.enter_context(bucket.server.running())
            point_at(bucket, request.param, monkeypatch)

            url = f"{request.param}://bucket/team/models"
            yield Remote(bucket.server, url, bucket.objects, "team/models/")


def point_at(bucket: Bucket, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment that an administrator sets for an endpoint of his own."""
    url = bucket.server.url
    variables = {
        "s3": {
            "AWS_ENDPOINT_URL": url,
            "AWS_ACCESS_KEY_ID": "id",
            "AWS_SECRET_ACCESS_KEY": "key",
            "AWS_REGION": "eu",
        },
        "gs": {"GOOGLE_BASE_URL": url, "GOOGLE_SKIP_SIGNATURE": "true"},
        "az": {
            "AZURE_STORAGE_ACCOUNT_NAME": "account",
            "AZURE_STORAGE_ENDPOINT": f"{url}/account",
            "AZURE_SKIP_SIGNATURE": "true",
        },
    }
    for name, value in variables[kind].items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def files() -> Iterator[FileSite]:
    served = FileSite(repository())
    with served.server.running():
        yield served


@pytest.fixture
def registry() -> Iterator[Registry]:
    served = Registry(repository())
    with served.server.running():
        yield served


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path / "models")

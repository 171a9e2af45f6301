"""Files behind an index or in a directory: what is refused, and what the cache holds."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from pydantic import SecretStr

from tests.integration.model_sources.sites import WEIGHTS, Site, repository
from tests.support.buckets import Bucket
from tests.support.file_site import FileSite, index_of
from tests.support.web_server import Answer, WebServer
from trireme_common.errors import SettingsError
from trireme_common.remote.failure import Kind, SourceError
from trireme_common.remote.http_index import write_index
from trireme_common.remote.open_source import build_mirror, open_source


def test_an_unreachable_source_is_an_error_that_leaves_the_cache(site: Site) -> None:
    with Bucket({}).server.running() as gone:
        url = f"{gone.url}/repo/"
    with pytest.raises(SourceError) as failed:
        site.run(url)
    assert failed.value.kind is Kind.UNREACHABLE


@pytest.mark.parametrize(
    "path",
    [
        "alpha/1/../../../evil",
        "/etc/passwd",
        "alpha//1/x",
        "alpha/1/a\\b",
        "alpha/1/\x00",
        "a/1/" + "x" * 300,
    ],
)
def test_one_hostile_name_refuses_the_listing_before_anything_is_written(
    path: str, files: FileSite, site: Site
) -> None:
    files.files[path] = b"evil"

    with pytest.raises(SourceError) as refused:
        site.run(files.url)

    assert refused.value.kind is Kind.REFUSED
    assert [item.name for item in site.directory.iterdir()] == [".trireme"]
    assert files.server.body_bytes == 0


@pytest.mark.parametrize(
    "index", [b"[]", b"{}", b'{"files": [{"path": "a/1/x", "size": 1}]}', b"[" * 100_000]
)
def test_an_index_that_is_none_is_refused(index: bytes, files: FileSite, site: Site) -> None:
    files.index = index
    with pytest.raises(SourceError, match=r"repository\.json") as refused:
        site.run(files.url)
    assert refused.value.kind is Kind.REFUSED


def test_content_that_is_not_what_the_index_says_is_never_seen(files: FileSite, site: Site) -> None:
    site.run(files.url)
    files.index = index_of({**repository(), "alpha/3/model.onnx": b"true"})
    files.files["alpha/3/model.onnx"] = b"evil"

    passed = site.run(files.url)

    assert passed.failed["alpha/3"].kind is Kind.CORRUPT
    assert site.versions()["alpha"] == [1, 2]


def test_a_server_without_ranges_is_read_from_the_start_again(files: FileSite, site: Site) -> None:
    files.server.ranges = False
    files.server.cuts = [50_000]

    assert not site.run(files.url).failed

    assert (site.directory / "alpha/2/model.onnx").read_bytes() == WEIGHTS
    assert files.server.body_bytes > len(WEIGHTS)


def test_an_unchanged_index_is_not_read_again(files: FileSite, site: Site) -> None:
    settings = site.settings(files.url)
    mirror, cache = build_mirror(settings, site.progress, threading.Event())
    with cache.lock():
        mirror.run()
        mirror.run()
    conditions = [request.headers.get("if-none-match") for request in files.server.asked("repository.json")]
    assert conditions[0] is None
    assert conditions[1]


def test_credentials_are_sent_and_never_told(files: FileSite, site: Site) -> None:
    files.authorization = "Bearer s3cret-token"
    with pytest.raises(SourceError, match="401") as denied:
        site.run(files.url)
    assert denied.value.kind is Kind.DENIED

    passed = site.run(files.url, models_source_password=SecretStr("s3cret-token"))

    assert not passed.failed
    with pytest.raises(SettingsError) as refused:
        site.run("https://user:s3cret-token@example.invalid/repo/")
    assert "s3cret" not in str(refused.value)


def test_redirects_are_bounded(site: Site) -> None:
    server = WebServer(lambda request: Answer(302, b"", {"Location": request.path}))
    with server.running(), pytest.raises(SourceError, match="redirects") as refused:
        site.run(f"{server.url}/repo/")
    assert refused.value.kind is Kind.REFUSED
    assert len(server.requests) == 6


def test_a_source_that_is_not_encrypted_needs_to_be_allowed(site: Site) -> None:
    for url in ("http://127.0.0.1:9/", "oci+http://127.0.0.1:9/models:v1"):
        with pytest.raises(SettingsError, match="ALLOW_HTTP"):
            site.run(url, models_source_allow_http=False)


def test_a_cache_that_is_too_small_says_so_and_serves_what_fits(files: FileSite, site: Site) -> None:
    passed = site.run(files.url, models_cache_bytes=len(WEIGHTS) // 2)
    assert passed.failed["alpha/2"].kind is Kind.CACHE_FULL
    assert site.versions() == {"alpha": [1], "beta": [1]}


def test_versions_that_nobody_wants_make_room(files: FileSite, site: Site) -> None:
    files.files["alpha/model.yaml"] = b"name: alpha\nversions: {policy: all}\n"
    site.run(files.url)
    files.files["alpha/model.yaml"] = b"name: alpha\n"
    files.files["alpha/3/model.onnx"] = b"3" * 2_000_000

    assert not site.run(files.url, models_cache_bytes=4_000_022).failed
    assert site.versions()["alpha"] == [2, 3]


def test_what_the_administrator_put_there_is_left_alone(files: FileSite, site: Site) -> None:
    mine = site.directory / "beta/1/model.onnx"
    mine.parent.mkdir(parents=True)
    mine.write_bytes(b"mine")

    passed = site.run(files.url)

    assert passed.failed["beta/1"].kind is Kind.CONFLICT
    assert mine.read_bytes() == b"mine"
    assert site.versions() == {"alpha": [1, 2], "beta": [1]}


def test_only_the_models_that_are_named_arrive(files: FileSite, site: Site) -> None:
    site.run(files.url, models_source_models="beta")
    assert site.versions() == {"beta": [1]}
    with pytest.raises(SourceError, match="gamma"):
        site.run(files.url, models_source_models="beta, gamma")


@pytest.fixture
def share(tmp_path: Path) -> Path:
    """The repository in a directory."""
    for path, body in repository().items():
        (tmp_path / "share" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "share" / path).write_bytes(body)
    return tmp_path / "share"


@pytest.mark.parametrize("target", ["/etc/passwd", "../2/model.onnx", "nowhere", "/etc"])
def test_a_version_with_a_link_fails_alone(target: str, share: Path, site: Site) -> None:
    (share / "alpha/1/link").symlink_to(target)

    passed = site.run(f"file://{share}")

    assert passed.failed["alpha/1"].kind is Kind.REFUSED
    assert "alpha/1/link is a symbolic link" in passed.failed["alpha/1"].detail
    assert site.versions() == {"alpha": [2], "beta": [1]}


def test_a_model_whose_shared_file_is_a_link_fails_alone(share: Path, site: Site) -> None:
    (share / "alpha/golden.json").symlink_to("model.yaml")

    assert "alpha/golden.json is a symbolic link" in site.run(f"file://{share}").failed["alpha"].detail
    assert site.versions() == {"beta": [1]}


@pytest.mark.parametrize("place", ["gamma", "alpha/3", "beta/2"])
def test_a_directory_that_is_a_link_refuses_the_listing(place: str, share: Path, site: Site) -> None:
    (share / place).symlink_to(share / "alpha")

    with pytest.raises(SourceError, match=f"{place} is a symbolic link") as refused:
        site.run(f"file://{share}")
    assert refused.value.kind is Kind.REFUSED


def test_links_that_are_no_part_of_a_model_are_passed_over(share: Path, site: Site) -> None:
    for place in ("alpha/latest", "_old", ".hidden", "notes.txt", "alpha/.hidden", "alpha/1/.hidden"):
        target = "README.md" if place == "notes.txt" else "alpha/2"
        (share / place).symlink_to(share / target)

    assert not site.run(f"file://{share}").failed
    assert site.versions() == {"alpha": [1, 2], "beta": [1]}


def test_an_index_of_a_repository_with_a_link_is_not_written(share: Path) -> None:
    (share / "alpha/1/link").symlink_to("model.onnx")

    with pytest.raises(SourceError, match="alpha/1/link is a symbolic link"):
        write_index(share)
    assert not (share / "repository.json").exists()


@pytest.mark.parametrize(
    "url", ["http://[bad", "s3://", "oci://Registry", "ftp://x/y", "https://user@example.invalid/"]
)
def test_a_url_that_is_none_is_told_by_the_name_that_it_was_given_under(url: str, site: Site) -> None:
    for said_by in ("--source", "TRIREME_MODELS_SOURCE"):
        with pytest.raises(SettingsError) as refused:
            open_source(site.settings(url), said_by)
        assert refused.value.detail.startswith(f"{said_by}: ")


def test_a_redirect_to_a_file_is_refused(site: Site) -> None:
    server = WebServer(lambda _: Answer(302, b"", {"Location": "file:///etc/passwd"}))
    with server.running(), pytest.raises(SourceError, match="not HTTP") as refused:
        site.run(f"{server.url}/repo/")
    assert refused.value.kind is Kind.REFUSED

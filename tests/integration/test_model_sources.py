"""Every kind of source against a real server on loopback: what arrives, what is asked again, what is cut."""

from __future__ import annotations

import base64
import json
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from tests.support.buckets import AzureContainer, Bucket
from tests.support.file_site import FileSite, index_of
from tests.support.oci_registry import Registry, digest
from tests.support.web_server import Answer, Request, WebServer, file_answer
from trireme_common.errors import SettingsError
from trireme_common.remote.failure import Kind, SourceError
from trireme_common.remote.mirror import Passed
from trireme_common.remote.open_source import build_mirror
from trireme_common.remote.progress import Progress
from trireme_common.repository import scan
from trireme_common.settings import ModelsSettings

WEIGHTS = random.Random(7).randbytes(2_000_000)
LOST_BYTES = 256 * 1024
"""What an object store's client holds back when a connection breaks."""
Files = dict[str, bytes]


def repository() -> Files:
    """One model with two versions and one with one."""
    return {
        "alpha/model.yaml": b"name: alpha\n",
        "alpha/1/model.onnx": b"first",
        "alpha/2/model.onnx": WEIGHTS,
        "alpha/2/assets/words.txt": "一\n".encode(),
        "beta/1/model.onnx": b"bare",
        "README.md": b"beside the models",
    }


class Remote:
    """A running server and the URL of the repository in it."""

    def __init__(self, server: WebServer, url: str, files: Files, prefix: str = "") -> None:
        self.server = server
        self.url = url
        self._files = files
        self._prefix = prefix

    def put(self, path: str, body: bytes) -> None:
        self._files[self._prefix + path] = body

    def delete(self, path: str) -> None:
        del self._files[self._prefix + path]


Open = Callable[[], Remote]


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


class Site:
    """A cache directory and passes into it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.progress = Progress(lambda _: None)

    def run(self, url: str, **more: Any) -> Passed:
        """One pass of a process that has just started."""
        self.progress = Progress(lambda _: None)
        mirror, cache = build_mirror(self.settings(url, **more), self.progress, threading.Event())
        with cache.lock() as mine:
            assert mine
            return mirror.run()

    def settings(self, url: str, **more: Any) -> ModelsSettings:
        """Settings of such a process."""
        return ModelsSettings().model_copy(
            update={
                "models_dir": self.directory,
                "models_source": url,
                "models_source_allow_http": True,
                "models_source_timeout_seconds": 5.0,
                **more,
            }
        )

    def versions(self) -> dict[str, list[int]]:
        """What the stages would find."""
        found: dict[str, list[int]] = {}
        for files in scan(self.directory).versions:
            found.setdefault(files.spec.name, []).append(files.version)
        return found


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path / "models")


def test_a_repository_arrives_whole_and_is_not_downloaded_again(remote: Remote, site: Site) -> None:
    passed = site.run(remote.url)
    assert sorted(passed.installed) == ["alpha/1", "alpha/2", "beta/1"]
    assert not passed.failed
    assert site.versions() == {"alpha": [1, 2], "beta": [1]}
    for path, body in repository().items():
        if "/" in path:
            assert (site.directory / path).read_bytes() == body
    assert not (site.directory / "README.md").exists()
    sent = remote.server.body_bytes

    again = site.run(remote.url)

    assert not again.installed
    assert remote.server.body_bytes == sent
    assert site.progress.bytes_received == 0


def test_a_download_that_is_cut_again_and_again_goes_on_where_it_was(remote: Remote, site: Site) -> None:
    draw = random.Random(3)
    remote.server.cuts = [draw.randrange(1, 400_000) for _ in range(6)]

    assert not site.run(remote.url).failed

    assert not remote.server.cuts
    assert (site.directory / "alpha/2/model.onnx").read_bytes() == WEIGHTS
    wanted = sum(len(body) for path, body in repository().items() if "/" in path)
    # Without ranges the six cuts would cost as much as they brought, 1.3 million bytes on average.
    assert wanted <= remote.server.body_bytes <= wanted + 2 * LOST_BYTES


def test_changes_arrive_and_only_what_changed_is_downloaded(remote: Remote, site: Site) -> None:
    site.run(remote.url)
    sent = remote.server.body_bytes
    remote.put("alpha/2/assets/words.txt", "二二\n".encode())

    assert site.run(remote.url).installed == ["alpha/2"]

    assert remote.server.body_bytes - sent == len("二二\n".encode())
    assert (site.directory / "alpha/2/assets/words.txt").read_text() == "二二\n"
    assert (site.directory / "alpha/2/model.onnx").read_bytes() == WEIGHTS


def test_a_deleted_version_goes_one_pass_after_its_successor_came(remote: Remote, site: Site) -> None:
    site.run(remote.url)
    remote.put("alpha/3/model.onnx", b"third")
    remote.delete("alpha/1/model.onnx")
    assert site.run(remote.url).installed == ["alpha/3"]
    assert site.versions()["alpha"] == [1, 2, 3]

    assert site.run(remote.url).removed == ["alpha/1"]

    assert site.versions()["alpha"] == [2, 3]


def test_a_deleted_model_goes_with_its_directory(remote: Remote, site: Site) -> None:
    site.run(remote.url)
    remote.delete("beta/1/model.onnx")

    assert site.run(remote.url).removed == ["beta/1"]

    assert not (site.directory / "beta").exists()


def test_a_source_that_lists_nothing_takes_nothing_away(remote: Remote, site: Site) -> None:
    site.run(remote.url)
    for path in repository():
        remote.delete(path)

    with pytest.raises(SourceError, match="lists no model") as refused:
        site.run(remote.url)

    assert refused.value.kind is Kind.REFUSED
    assert site.versions() == {"alpha": [1, 2], "beta": [1]}


def test_an_unreachable_source_is_an_error_that_leaves_the_cache(site: Site) -> None:
    with Bucket({}).server.running() as gone:
        url = f"{gone.url}/repo/"
    with pytest.raises(SourceError) as failed:
        site.run(url)
    assert failed.value.kind is Kind.UNREACHABLE


@pytest.fixture
def files() -> Iterator[FileSite]:
    served = FileSite(repository())
    with served.server.running():
        yield served


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


def test_a_directory_is_a_source_too_and_its_links_are_not_followed(tmp_path: Path, site: Site) -> None:
    share = tmp_path / "share"
    for path, body in repository().items():
        (share / path).parent.mkdir(parents=True, exist_ok=True)
        (share / path).write_bytes(body)
    (share / "alpha/1/link").symlink_to("/etc/passwd")

    site.run(f"file://{share}")

    assert site.versions() == {"alpha": [1, 2], "beta": [1]}
    assert not (site.directory / "alpha/1/link").exists()


@pytest.fixture
def registry() -> Iterator[Registry]:
    served = Registry(repository())
    with served.server.running():
        yield served


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


def test_an_object_that_is_replaced_while_it_is_read_never_arrives_mixed(remote: Remote, site: Site) -> None:
    original = remote.server.answer
    new = bytes(reversed(WEIGHTS))

    def replace_before_a_continuation(request: Request) -> Answer:
        if "range" in request.headers:
            remote.put("alpha/2/model.onnx", new)
        return original(request)

    remote.server.answer = replace_before_a_continuation
    remote.server.cuts = [1_000_000]

    passed = site.run(remote.url)

    assert passed.failed["alpha/2"].kind in (Kind.CHANGED, Kind.CORRUPT)
    assert site.versions()["alpha"] == [1]
    assert not site.run(remote.url).failed
    assert (site.directory / "alpha/2/model.onnx").read_bytes() == new


def test_a_redirect_to_a_file_is_refused(site: Site) -> None:
    server = WebServer(lambda _: Answer(302, b"", {"Location": "file:///etc/passwd"}))
    with server.running(), pytest.raises(SourceError, match="not HTTP") as refused:
        site.run(f"{server.url}/repo/")
    assert refused.value.kind is Kind.REFUSED

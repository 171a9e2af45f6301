"""The cache directory: what is seen when, what survives a crash, what is left alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.repositories import change
from trireme_common.remote.cache import Cache
from trireme_common.remote.failure import Kind, SourceError
from trireme_common.remote.plan import Install, InstalledFile
from trireme_common.remote.source import RemoteFile


def stage(cache: Cache, path: str, body: str, identity: str) -> tuple[RemoteFile, Path]:
    """A file of the staging area."""
    place = cache.staging / "group" / path.rpartition("/")[2]
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(body)
    return RemoteFile(path, len(body), identity), place


def install(cache: Cache, version: int, body: str, identity: str = "x", spec: str = "") -> None:
    shared = dict([stage(cache, "a/model.yaml", spec, f"spec {spec}")]) if spec else {}
    for path in shared.values():
        shared_home = cache.staging / "shared" / path.name
        shared_home.parent.mkdir(parents=True, exist_ok=True)
        path.replace(shared_home)
    shared = {file: cache.staging / "shared" / path.name for file, path in shared.items()}
    file, place = stage(cache, f"a/{version}/m", body, identity)
    cache.install(Install("a", version, (file,)), place.parent, shared)


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    made = Cache(tmp_path)
    made.load()
    return made


def test_what_was_installed_is_known_after_a_restart(cache: Cache, tmp_path: Path) -> None:
    install(cache, 1, "one", spec="name: a")
    assert Cache(tmp_path).load().files == {
        "a/model.yaml": InstalledFile("spec name: a", 7),
        "a/1/m": InstalledFile("x", 3),
    }
    assert Cache(tmp_path).populated()


def test_a_file_that_was_edited_or_deleted_counts_as_missing(cache: Cache, tmp_path: Path) -> None:
    install(cache, 1, "one", spec="name: a")
    change(tmp_path / "a/1/m", "two")
    (tmp_path / "a/model.yaml").unlink()
    assert Cache(tmp_path).load().files == {}


def test_a_changed_version_replaces_the_old_one(cache: Cache, tmp_path: Path) -> None:
    install(cache, 1, "old")
    install(cache, 1, "new", "y")
    assert (tmp_path / "a/1/m").read_text() == "new"
    assert Cache(tmp_path).load().files == {"a/1/m": InstalledFile("y", 3)}


def test_a_crash_between_the_record_and_the_move_is_seen_and_mended(cache: Cache, tmp_path: Path) -> None:
    install(cache, 1, "old")
    before = (tmp_path / ".trireme/state.json").read_text()
    old = (tmp_path / "a/1/m").stat().st_mtime_ns
    record = before.replace('"x"', '"y"').replace(str(old), str(old + 1))
    (tmp_path / ".trireme/state.json").write_text(record)  # as a crash leaves it: told, not moved

    restarted = Cache(tmp_path)

    assert restarted.load().files == {}
    install(restarted, 1, "new", "y")
    assert (tmp_path / "a/1/m").read_text() == "new"


def test_the_files_of_others_are_neither_replaced_nor_removed(cache: Cache, tmp_path: Path) -> None:
    (tmp_path / "a/1").mkdir(parents=True)
    (tmp_path / "a/1/m").write_text("mine")
    with pytest.raises(SourceError) as conflict:
        install(cache, 1, "theirs")
    assert conflict.value.kind is Kind.CONFLICT
    assert (tmp_path / "a/1/m").read_text() == "mine"


def test_a_model_goes_with_its_last_version_unless_somebody_put_something_there(
    cache: Cache, tmp_path: Path
) -> None:
    install(cache, 1, "one", spec="name: a")
    cache.remove(("a", 1))
    assert not (tmp_path / "a").exists()
    install(cache, 1, "one", spec="name: a")
    (tmp_path / "a/notes.txt").write_text("mine")
    cache.remove(("a", 1))
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == ["model.yaml", "notes.txt"]


def test_a_broken_state_is_an_empty_one(cache: Cache, tmp_path: Path) -> None:
    install(cache, 1, "one")
    for content in ("{", '{"used": {"x": 1}}', '{"used": {"a/b": 1}}', '{"files": {"a/1/m": 3}}'):
        (tmp_path / ".trireme/state.json").write_text(content)
        assert Cache(tmp_path).load().files == {}


def test_only_one_holds_the_lock(cache: Cache, tmp_path: Path) -> None:
    with cache.lock() as mine, Cache(tmp_path).lock() as other:
        assert (mine, other) == (True, False)
    with Cache(tmp_path).lock() as later:
        assert later


def test_what_nobody_asks_for_any_more_is_pruned(cache: Cache) -> None:
    for key in ("keep", "drop"):
        (cache.staging / key).mkdir(parents=True)
    cache.prune({"keep"})
    assert [path.name for path in cache.staging.iterdir()] == ["keep"]


def test_content_known_by_its_digest_is_found_wherever_it_stands(cache: Cache) -> None:
    install(cache, 1, "one", "sha256:aa")
    cache.load()
    assert cache.find(RemoteFile("a/2/m", 3, "sha256:aa")) == cache.directory / "a/1/m"
    assert cache.find(RemoteFile("a/2/m", 3, "sha256:bb")) is None
    install(cache, 1, "one", "etag")
    cache.load()
    assert cache.find(RemoteFile("a/1/m", 3, "etag")) == cache.directory / "a/1/m"
    assert cache.find(RemoteFile("a/2/m", 3, "etag")) is None

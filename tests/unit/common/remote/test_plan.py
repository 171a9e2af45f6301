"""The plan of a pass, on chosen cases and as properties over random listings and caches."""

from __future__ import annotations

from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from trireme_common.remote.catalog import Limits, RemoteModel, read_catalog
from trireme_common.remote.plan import Installed, InstalledFile, Plan, VersionKey, Wanted, plan
from trireme_common.remote.source import RemoteFile

Versions = Mapping[VersionKey, tuple[int, str]]
"""Bytes and identity of a version's one file."""

keys = st.tuples(st.sampled_from(["a", "b"]), st.integers(1, 5))
versions = st.dictionaries(keys, st.tuples(st.integers(1, 50), st.sampled_from(["x", "y"])), max_size=8)


def catalog_of(listed: Versions) -> dict[str, RemoteModel]:
    files = [RemoteFile(f"{name}/{version}/m", size, tag) for (name, version), (size, tag) in listed.items()]
    return read_catalog(files, Limits())


def installed_of(here: Versions, used: Mapping[VersionKey, float] | None = None) -> Installed:
    files = {f"{name}/{version}/m": InstalledFile(tag, size) for (name, version), (size, tag) in here.items()}
    return Installed(files, used or {})


def latest(catalog: Mapping[str, RemoteModel], count: int = 1, spare: int = 1) -> dict[str, Wanted]:
    found = {}
    for name, model in catalog.items():
        newest_first = sorted(model.versions, reverse=True)
        found[name] = Wanted(tuple(newest_first[:count]), tuple(newest_first[count : count + spare]))
    return found


def applied(todo: Plan, here: Versions, listed: Versions) -> dict[VersionKey, tuple[int, str]]:
    """What stands in the cache after the plan."""
    left = {key: value for key, value in here.items() if key not in (*todo.evictions, *todo.removals)}
    for install in todo.installs:
        if install.version is not None:
            left[install.model, install.version] = listed[install.model, install.version]
    return left


@given(versions, versions)
def test_without_a_bound_two_passes_bring_what_is_wanted_and_nothing_stays_that_is_gone(
    listed: Versions, here: Versions
) -> None:
    catalog = catalog_of(listed)
    wanted = latest(catalog)
    for _ in range(2):
        here = applied(plan(catalog, installed_of(here), wanted, 0), here, listed)
    for name, want in wanted.items():
        for version in (*want.needed, *want.spares):
            assert here[name, version] == listed[name, version]
    assert here.keys() <= listed.keys()
    assert plan(catalog, installed_of(here), wanted, 0) == Plan()


@given(versions, versions, st.integers(1, 200))
def test_the_bound_holds_at_every_moment_and_what_is_in_use_stays(
    listed: Versions, here: Versions, max_bytes: int
) -> None:
    catalog = catalog_of(listed)
    wanted = latest(catalog)
    todo = plan(catalog, installed_of(here), wanted, max_bytes)

    before = sum(size for size, _ in here.values())
    evicted = sum(here[key][0] for key in todo.evictions)
    brought = sum(install.size for install in todo.installs)
    if brought:
        assert before - evicted + brought <= max_bytes  # old and new of a changed version side by side
    in_use = {(name, version) for name, want in wanted.items() for version in (*want.needed, *want.spares)}
    newest = {(name, max(version for other, version in here if other == name)) for name, _ in here}
    assert not set(todo.evictions) & (in_use | newest)
    assert set(todo.removals) == {
        key
        for key in here
        if key not in listed and key[0] not in {install.model for install in todo.installs}
    }


@given(versions, versions, st.integers(0, 200))
def test_a_version_that_stands_here_as_it_is_listed_is_not_brought_again(
    listed: Versions, here: Versions, max_bytes: int
) -> None:
    catalog = catalog_of(listed)
    todo = plan(catalog, installed_of(here), latest(catalog), max_bytes)
    for install in todo.installs:
        assert install.version is not None
        key = (install.model, install.version)
        assert key not in here or here[key] != listed[key]


def test_of_versions_out_of_use_the_least_recently_needed_goes_first() -> None:
    here = {("a", version): (10, "x") for version in (1, 2, 3, 4)}
    listed = {**here, ("a", 5): (10, "x")}
    used = {("a", 1): 3.0, ("a", 2): 1.0, ("a", 3): 2.0}
    catalog = catalog_of(listed)

    todo = plan(catalog, installed_of(here, used), latest(catalog), 40)

    assert todo.evictions == (("a", 2),)


def test_every_models_newest_version_comes_before_any_second_or_spare_one() -> None:
    listed = {(name, version): (1, "x") for name in ("a", "b") for version in (1, 2, 3)}
    catalog = catalog_of(listed)
    todo = plan(catalog, Installed(), latest(catalog, count=2), 0)
    order = [(install.model, install.version) for install in todo.installs]
    assert order == [("a", 3), ("b", 3), ("a", 2), ("b", 2), ("a", 1), ("b", 1)]


def test_a_needed_version_that_does_not_fit_is_told_and_a_spare_is_left_out() -> None:
    catalog = catalog_of({("a", 2): (100, "x"), ("a", 1): (5, "x"), ("b", 2): (5, "x"), ("b", 1): (90, "x")})
    todo = plan(catalog, Installed(), latest(catalog), 50)
    assert todo.too_large == (("a", 2),)
    assert [(install.model, install.version) for install in todo.installs] == [("b", 2), ("a", 1)]


def test_a_changed_model_yaml_alone_is_an_install_without_a_version() -> None:
    files = [RemoteFile("a/model.yaml", 3, "new"), RemoteFile("a/1/m", 5, "x")]
    here = Installed({"a/model.yaml": InstalledFile("old", 3), "a/1/m": InstalledFile("x", 5)})
    todo = plan(read_catalog(files, Limits()), here, {"a": Wanted((1,))}, 0)
    assert [(install.model, install.version) for install in todo.installs] == [("a", None)]


def test_a_file_that_left_a_version_makes_the_version_anew() -> None:
    here = Installed({"a/1/m": InstalledFile("x", 5), "a/1/old": InstalledFile("x", 5)})
    todo = plan(catalog_of({("a", 1): (5, "x")}), here, {"a": Wanted((1,))}, 0)
    assert [(install.model, install.version) for install in todo.installs] == [("a", 1)]


def test_a_shared_file_that_is_gone_is_removed() -> None:
    here = Installed({"a/1/m": InstalledFile("x", 5), "a/golden.json": InstalledFile("x", 5)})
    todo = plan(catalog_of({("a", 1): (5, "x")}), here, {"a": Wanted((1,))}, 0)
    assert todo == Plan(removed_files=("a/golden.json",))

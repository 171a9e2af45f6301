"""Listings are judged as a whole."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trireme_common.remote.catalog import Limits, read_catalog, version_of
from trireme_common.remote.failure import Kind, SourceError
from trireme_common.remote.source import RemoteFile


def file(path: str, size: int = 1, identity: str = "x") -> RemoteFile:
    return RemoteFile(path, size, identity)


def test_files_fall_into_models_and_versions() -> None:
    paths = [
        "README.md",
        ".git/1/x",
        "_old/1/m",
        "a/model.yaml",
        "a/labels/zh.txt",
        "a/1/m",
        "a/2/deep/er",
        "b/x",
    ]
    found = read_catalog([file(path) for path in paths], Limits())
    assert list(found) == ["a"]
    assert [entry.path for entry in found["a"].shared] == ["a/labels/zh.txt", "a/model.yaml"]
    assert {number: len(files) for number, files in found["a"].versions.items()} == {1: 1, 2: 1}


@pytest.mark.parametrize(
    "bad",
    [
        file("../a/1/m"),
        file("a/../../m"),
        file("/a/1/m"),
        file("a//m"),
        file("a/./m"),
        file(""),
        file("a/1/"),
        file("a\\1\\m"),
        file("a/1/\n"),
        file("a/1/\x7f"),
        file("a/1/\ud800"),
        file("a/1/" + "x" * 241),
        file("/".join("a" * 17)),
        file("a/" + "/".join(["y" * 200] * 6)),
        file("a/1/m", -1),
        file("a/1/m", 2**60),
        file("a/1/m", identity=""),
    ],
)
def test_one_bad_entry_refuses_the_whole_listing(bad: RemoteFile) -> None:
    with pytest.raises(SourceError) as refused:
        read_catalog([file("a/1/n"), bad], Limits())
    assert refused.value.kind is Kind.REFUSED


def test_too_many_files_a_name_twice_and_a_file_that_is_a_directory_are_refused() -> None:
    for files in (
        [file(f"a/1/{number}") for number in range(4)],
        [file("a/1/m"), file("a/1/m")],
        [file("a/1/m"), file("a/1/m/n")],
    ):
        with pytest.raises(SourceError):
            read_catalog(files, Limits(files=3))


def test_empty_objects_in_the_place_of_directories_are_passed_over() -> None:
    found = read_catalog([file("a", 0), file("a/1", 0), file("a/1/m")], Limits())
    assert [entry.path for entry in found["a"].versions[1]] == ["a/1/m"]


@given(st.text(max_size=40))
def test_whatever_is_accepted_stays_below_its_model(path: str) -> None:
    try:
        found = read_catalog([file(path)], Limits())
    except SourceError:
        return
    for model in found.values():
        for entry in (*model.shared, *(entry for files in model.versions.values() for entry in files)):
            parts = entry.path.split("/")
            assert parts[0] == model.name
            assert not {"", ".", ".."} & set(parts)


@pytest.mark.parametrize(
    ("path", "version"),
    [
        ("a/1/m", 1),
        ("a/10/m/n", 10),
        ("a/01/m", None),
        ("a/1", None),
        ("a/x/m", None),
        ("a/一/m", None),
        ("a/²/m", None),
    ],
)
def test_versions_are_whole_numbers_without_leading_zeros(path: str, version: int | None) -> None:
    assert version_of(path) == version

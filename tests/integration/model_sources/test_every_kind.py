"""Every kind of source: what arrives, what is asked again, what is cut."""

from __future__ import annotations

import random

import pytest

from tests.integration.model_sources.sites import WEIGHTS, Remote, Site, repository
from tests.support.web_server import Answer, Request
from trireme_common.remote.failure import Kind, SourceError

LOST_BYTES = 256 * 1024
"""What an object store's client holds back when a connection breaks."""


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

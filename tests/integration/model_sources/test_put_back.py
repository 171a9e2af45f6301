"""A version that an operator put back: it is kept, and brought, whatever the policy wants."""

from __future__ import annotations

import time
from pathlib import Path

from tests.integration.model_sources.sites import Site
from tests.support.file_site import FileSite
from trireme_common.orders import Order
from trireme_common.orders_file import OrdersFile

TWO_AND_A_BIT = 4_000_030
"""Bytes that two large versions, the small one and the shared files take."""


def put_back(directory: Path) -> None:
    OrdersFile(directory).exchange([Order(time.time_ns() // 1000, "alpha", version="1")], {"alpha"})


def publish_two_more(files: FileSite, site: Site, **more: object) -> None:
    for version in (3, 4):
        files.files[f"alpha/{version}/model.onnx"] = b"3" * 2_000_000
        assert not site.run(files.url, models_cache_bytes=TWO_AND_A_BIT, **more).failed


def test_it_stays_in_a_cache_that_is_full(files: FileSite, site: Site) -> None:
    site.run(files.url)
    put_back(site.directory)
    publish_two_more(files, site)
    assert site.versions()["alpha"] == [1, 3, 4]


def test_without_an_order_the_same_cache_drops_it(files: FileSite, site: Site) -> None:
    site.run(files.url)
    publish_two_more(files, site)
    assert site.versions()["alpha"] == [3, 4]


def test_it_comes_to_an_empty_disk(files: FileSite, site: Site, tmp_path: Path) -> None:
    files.files["alpha/3/model.onnx"] = b"3"
    state = tmp_path / "state"
    state.mkdir()
    put_back(state)
    assert not site.run(files.url, models_source_spare_versions=0, state_dir=state).failed
    assert site.versions()["alpha"] == [1, 3]

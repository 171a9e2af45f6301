"""The console in a real Chromium, over the whole platform: both shared by the tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.integration.console.driving import go
from tests.support.browser import Visit, chromium, visit
from tests.support.onnx_models import scale
from tests.support.platform import Platform, copy_models, platform


@pytest.fixture(scope="package")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """The models that ship, a bare tensor model, and one that cannot be loaded."""
    models = copy_models(tmp_path_factory.mktemp("models"))
    for name, content in (("scale", scale(2.0)), ("broken", b"no model")):
        (models / name / "1").mkdir(parents=True)
        (models / name / "1" / "model.onnx").write_bytes(content)
    with platform(models, tmp_path_factory.mktemp("platform")) as started:
        yield started


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="package")
def desktop(browser: Browser) -> Iterator[Visit]:
    """Shared, because opening a page for each test takes longer than the tests."""
    with visit(browser, locale="en-US", viewport={"width": 1280, "height": 800}) as found:
        yield found


@pytest.fixture
def opened(desktop: Visit, console: Platform) -> Iterator[Visit]:
    """The console in English, on a desktop; no error may have been reported at the end."""
    desktop.forget()
    go(desktop.page, console)
    yield desktop
    desktop.page.unroute_all()
    desktop.page.evaluate("localStorage.clear()")
    assert desktop.errors == []

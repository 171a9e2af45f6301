"""A real headless Chromium, Debian's, driven through Playwright (which brings no browser of its own)."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

_FLAGS = [
    "--no-sandbox",  # tests run as root in containers
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """A browser with an empty profile. Raises RuntimeError where Chromium is not installed."""
    path = shutil.which("chromium")
    if path is None:
        raise RuntimeError("Chromium is missing: apt-get install chromium fonts-wqy-microhei")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=_FLAGS)
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Visit:
    """A page with what it asked for and complained about."""

    page: Page
    requests: list[str] = field(default_factory=list)
    """Addresses of all requests, in order."""
    errors: list[str] = field(default_factory=list)
    """Uncaught exceptions and error lines of the console, among them what the policy blocked."""

    def forget(self) -> None:
        """For the next test with the same page."""
        self.requests.clear()
        self.errors.clear()


@contextlib.contextmanager
def visit(browser: Browser, **context: Any) -> Iterator[Visit]:
    """A page of a context of its own; `context` as Playwright's `new_context` takes it."""
    opened = browser.new_context(**context)
    try:
        page = opened.new_page()
        page.set_default_timeout(20_000)
        found = Visit(page)
        page.on("request", lambda request: found.requests.append(request.url))
        page.on("pageerror", lambda error: found.errors.append(str(error)))
        page.on("console", lambda line: found.errors.append(line.text) if line.type == "error" else None)
        yield found
    finally:
        opened.close()

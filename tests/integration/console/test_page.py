"""Its languages, and that nothing of it comes from elsewhere."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from playwright.sync_api import Browser, expect

from tests.integration.console.driving import GOOD, go, pick, run
from tests.support.browser import Visit, visit
from tests.support.platform import Platform


def test_the_browsers_language_then_the_chosen_one(browser: Browser, console: Platform) -> None:
    with visit(browser, locale="zh-CN") as found:
        page = found.page
        go(page, console)
        assert page.evaluate("document.documentElement.lang") == "zh-CN"
        pick(page, "sentiment-zh")
        page.locator("#text").fill(GOOD)
        run(page)
        expect(page.get_by_role("heading", name="耗时分布")).to_be_visible()
        expect(page.locator("#headline .confidence")).to_contain_text("置信度")
        page.get_by_role("button", name="English").click()
        expect(page.get_by_role("heading", name="Where the time went")).to_be_visible()
        expect(page.locator("#headline .confidence")).to_contain_text("confident")
        expect(page.locator("#text")).to_have_value(GOOD)
        page.reload()
        expect(page.locator("#run")).to_have_text("Run")
        assert page.evaluate("document.documentElement.lang") == "en"
        assert found.errors == []


def test_nothing_of_the_other_language_stays(opened: Visit) -> None:
    page = opened.page
    pick(page, "tabular")
    page.get_by_role("button", name="中文").click()
    text = page.locator("body").inner_text()
    left = set(re.findall(r"[A-Za-z]{3,}", text))
    names = {
        "Trireme",
        "English",
        "digits",
        "sentiment",
        "tabular",
        "scale",
        "broken",
        "curl",
        "Ctrl",
        "Enter",
    }
    reason = set(re.findall(r"[A-Za-z]{3,}", page.locator(".model-reason").inner_text()))
    assert left <= names | reason


def test_no_request_leaves_the_origin(browser: Browser, console: Platform) -> None:
    with visit(browser, locale="en-US") as found:
        page = found.page
        go(page, console)
        page.locator("#examples button").first.click()
        run(page)
        page.goto(f"{console.url}/docs")
        expect(page.locator(".opblock").first).to_be_visible()
        page.locator(".opblock").first.click()
        expect(page.get_by_text("Try it out").first).to_be_visible()
        assert {urlsplit(url).netloc for url in found.requests} == {urlsplit(console.url).netloc}
        assert found.errors == []  # nor did the policy have to stop one


def test_the_policy_is_in_force(opened: Visit) -> None:
    answer = opened.page.request.head(opened.page.url)
    assert answer.headers["content-security-policy"].startswith("default-src 'self';")
    inline = "const made = document.createElement('script'); made.textContent = 'window.ran = 1';"
    opened.page.evaluate(f"{inline} document.body.append(made)")
    assert opened.page.evaluate("window.ran") is None
    assert any("Content Security Policy" in error for error in opened.errors)
    opened.errors.clear()

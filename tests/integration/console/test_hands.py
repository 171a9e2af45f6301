"""Whoever has only a keyboard, a phone or weak eyes can use it."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.integration.console.driving import BAD, go, pick, run
from tests.support.browser import Visit, visit
from tests.support.platform import Platform

PHONE = {"viewport": {"width": 320, "height": 640}, "has_touch": True, "is_mobile": True}
BEYOND_THE_EDGE = """() => [...document.querySelectorAll("main *")]
  .filter((element) => element.getBoundingClientRect().right > innerWidth + 1)
  .filter((element) => !element.closest("pre, svg, .quote"))
  .map((element) => element.outerHTML.slice(0, 80))"""

CONTRAST = """() => {
  const parse = (color) => {
    const numbers = color.match(/[\\d.]+/g).map(Number);
    return color.startsWith("color(") ? numbers.map((number) => number * 255) : numbers;
  };
  const light = ([r, g, b]) => [r, g, b]
    .map((value) => value / 255)
    .map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4))
    .reduce((sum, value, index) => sum + value * [0.2126, 0.7152, 0.0722][index], 0);
  const ground = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const color = parse(getComputedStyle(at).backgroundColor);
      if (color.length === 3) return color;
    }
    return [255, 255, 255];
  };
  const found = [];
  for (const element of document.querySelectorAll("body *")) {
    const texts = [...element.childNodes].filter((node) => node.nodeType === 3);
    const words = texts.map((node) => node.data).join("").trim();
    if (!words || !element.checkVisibility() || element.closest("noscript, svg, :disabled")) continue;
    const style = getComputedStyle(element);
    const [one, two] = [light(parse(style.color)), light(ground(element))].sort((a, b) => b - a);
    const ratio = (one + 0.05) / (two + 0.05);
    const large = parseFloat(style.fontSize) >= 24;
    if (ratio < (large ? 3 : 4.5)) found.push(`${words.slice(0, 30)}: ${ratio.toFixed(2)}`);
  }
  return found;
}"""


def test_the_keyboard_alone(opened: Visit) -> None:
    page = opened.page
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    reach(page, "input[name=model]:checked")
    for _ in range(4):
        if page.evaluate("document.activeElement.value") == "sentiment-zh":
            break
        page.keyboard.press("ArrowDown")
    reach(page, "#text")
    page.keyboard.insert_text(BAD)
    page.keyboard.press("Control+Enter")
    expect(page.locator("#headline .label")).to_have_text("负面")
    expect(page.locator("#text")).to_be_focused()
    for selector in ("#several", "#examples button", "#run", "#raw summary", "#copy", "#pause"):
        reach(page, selector)
        outline = """
            const element = document.activeElement;
            const shown = [element, element.nextElementSibling, element.parentElement].filter(Boolean);
            shown.some((found) => parseFloat(getComputedStyle(found).outlineWidth) >= 2
              && getComputedStyle(found).outlineStyle !== "none")
        """
        assert page.evaluate(outline), f"{selector} has no visible focus"


@pytest.mark.parametrize("locale", ["en-US", "zh-CN"])
def test_a_phone_has_no_sideways_scroll(browser: Browser, console: Platform, locale: str) -> None:
    with visit(browser, locale=locale, **PHONE) as found:
        page = found.page
        go(page, console)
        for model in ("sentiment-zh", "tabular", "scale", "digits"):
            pick(page, model)
            page.locator("#examples button").last.click()
            run(page)
            assert page.evaluate("document.documentElement.scrollWidth") <= 320, model
            assert page.evaluate(BEYOND_THE_EDGE) == [], model


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground(browser: Browser, console: Platform, scheme: Any) -> None:
    """WCAG AA: 4.5 to 1, or 3 to 1 for large text."""
    with visit(browser, locale="en-US", color_scheme=scheme, reduced_motion="reduce") as found:
        page = found.page
        go(page, console)
        pick(page, "sentiment-zh")
        page.locator("#examples button").last.click()
        run(page)
        assert page.evaluate(CONTRAST) == []


def test_every_control_has_a_name(opened: Visit) -> None:
    pick(opened.page, "digits")
    tree = opened.page.locator("body").aria_snapshot()
    assert not re.findall(
        r"- (?:button|textbox|radio|switch|link|combobox|meter|img)(?: \[.*\])?:?$", tree, re.M
    )


def reach(page: Page, selector: str) -> None:
    """Tabs on until the keyboard is there."""
    for _ in range(40):
        if page.evaluate("(selector) => document.activeElement.matches(selector)", selector):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"the keyboard never reaches {selector}")

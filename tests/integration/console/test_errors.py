"""What goes wrong is said in its place."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.integration.console.driving import pick, run, shell
from tests.support.browser import Visit


def test_a_bad_picture_is_shown_in_its_place(opened: Visit) -> None:
    page = opened.page
    pick(page, "digits")
    page.locator("#file").set_input_files(
        {"name": "bad.png", "mimeType": "image/png", "buffer": b"no picture"}
    )
    run(page)
    problem = page.get_by_role("alert").locator(".problem")
    expect(problem).to_contain_text("undecodable_image")
    expect(problem).to_contain_text("not a readable picture")
    expect(problem.locator("button.id")).to_have_text(re.compile(r"^[0-9a-f]{32}$"))
    assert len(opened.errors) == 1  # the browser's own line about the 400
    opened.errors.clear()


def test_a_blank_text_alone_and_a_text_of_all_signs(opened: Visit, tmp_path: Path) -> None:
    page = opened.page
    pick(page, "sentiment-zh")
    page.locator("#run").click()
    expect(page.locator("#input-error")).to_have_text("Type a text first.")
    expect(page.locator("#text")).to_be_focused()
    text = 'it\'s "good" $(echo no) `x` \\ \n @#%! 好'
    page.locator("#text").fill(text)
    run(page)
    assert shell(page, tmp_path)["results"][0]["text"] == text


@pytest.mark.parametrize(
    ("typed", "problem"),
    [
        ("1, 2, x3", "Number 3 is “x3”"),
        ("1 2 3", "takes 10 numbers, these are 3"),
        ("", "Enter the numbers first"),
        ("1e999" + " 1" * 9, "Number 1 is “1e999”"),
    ],
)
def test_wrong_numbers_are_not_sent(opened: Visit, typed: str, problem: str) -> None:
    page = opened.page
    pick(page, "tabular")
    expect(page.locator("#numbers-count")).to_have_text("0 of 10 numbers")
    page.locator("#numbers").fill(typed)
    before = len([url for url in opened.requests if url.endswith("/predict")])
    page.locator("#run").click()
    expect(page.locator("#input-error")).to_contain_text(problem)
    expect(page.locator("#numbers")).to_have_attribute("aria-invalid", "true")
    assert len([url for url in opened.requests if url.endswith("/predict")]) == before


def test_an_unavailable_model_says_why_and_cannot_be_picked(opened: Visit) -> None:
    card = opened.page.locator("#model-list > div", has_text="broken")
    expect(card).to_contain_text("unavailable")
    expect(card.locator(".model-reason")).not_to_be_empty()
    expect(card.locator("input")).to_be_disabled()
    expect(opened.page.locator("#health-text")).to_have_text("Degraded")


def test_what_a_server_says_is_only_text(opened: Visit) -> None:
    evil = "<img src=x onerror=alert(1)>"
    problem = {"code": "internal", "detail": evil, "request_id": evil, "status": 500}
    page = opened.page
    pick(page, "sentiment-zh")
    page.route("**/predict?*", lambda route: route.fulfill(status=500, json=problem))
    page.locator("#text").fill("x")
    page.locator("#run").click()
    expect(page.locator(".problem .detail")).to_have_text(evil)
    assert page.locator("#answer img").count() == 0
    opened.errors.clear()


def test_a_gateway_that_is_gone(opened: Visit) -> None:
    page = opened.page
    pick(page, "sentiment-zh")
    page.route("**/predict?*", lambda route: route.abort())
    page.locator("#text").fill("x")
    page.locator("#run").click()
    expect(page.locator(".problem .what")).to_have_text("The gateway does not answer")
    opened.errors.clear()

"""The charts of the last minutes, and the words for a shell."""

from __future__ import annotations

import json
import re
import shlex
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.integration.console.driving import go, pick, run
from tests.support.browser import Visit, visit
from tests.support.platform import Platform


def test_requests_become_points_and_a_hidden_tab_rests(browser: Browser, console: Platform) -> None:
    with visit(browser, locale="en-US") as found:
        page = found.page
        page.clock.install(time=0)
        page.clock.pause_at(1000)
        go(page, console)
        rate, latency = page.locator("#chart-rate"), page.locator("#chart-latency")
        polls(page, found, 2)
        expect(rate).to_have_attribute("data-points", "1")
        expect(latency).to_have_attribute("data-points", "0")
        pick(page, "sentiment-zh")
        page.locator("#text").fill("这句话还没有人问过，所以要经过三个阶段")
        run(page)
        polls(page, found, 1)
        expect(rate).to_have_attribute("data-points", "2")
        expect(latency).to_have_attribute("data-points", "1")
        expect(page.locator("#chart-items")).to_have_attribute("data-points", "1")
        expect(page.locator("#chart-items .now")).to_have_text("1")
        expect(rate.locator("svg")).to_have_attribute("aria-label", re.compile(r"Requests a second: 0?\.\d+"))
        expect(latency.locator(".now")).to_contain_text(re.compile(r"p50[\d.]+ ms"))
        tab(page, hidden=True)
        before = count(found, "/metrics")
        page.clock.run_for(10_000)
        assert count(found, "/metrics") == before
        tab(page, hidden=False)
        polls(page, found, 1)
        page.get_by_role("button", name="Pause").click()
        expect(page.locator("#live-note")).to_have_text("Paused.")


def test_the_arithmetic(opened: Visit) -> None:
    before = readings(requests=10, le_01=8, inf=10, items=10, messages=10)
    now = readings(requests=30, le_01=18, inf=30, items=50, messages=20)
    found = opened.page.evaluate(
        """async ([before, now]) => {
            const { read, between } = await import("/console/metrics.js");
            return between(read(before, 0), read(now, 2));
        }""",
        [before, now],
    )
    assert found["rate"] == pytest.approx(10)
    assert found["items"] == pytest.approx(4)
    assert found["p50"] == pytest.approx(100)
    assert found["p99"] == pytest.approx(1000 * (0.1 + 0.9 * (19.8 - 10) / 10))


def test_shell_words_survive(opened: Visit) -> None:
    words = ["", "a b", "it's", "'''", "$(x) `y` \\", "数字\n", '"']
    quoted = opened.page.evaluate(
        "async (words) => words.map((await import('/console/requests.js')).quote)",
        words,
    )
    assert shlex.split(" ".join(quoted)) == words


def count(found: Visit, path: str) -> int:
    return len([url for url in found.requests if urlsplit(url).path == path])


def polls(page: Page, found: Visit, times: int) -> None:
    """Lets the charts read the metrics `times` more times, on a clock of our own."""
    for _ in range(times):
        with page.expect_response(lambda response: urlsplit(response.url).path == "/metrics"):
            page.clock.run_for(2100)


def tab(page: Page, *, hidden: bool) -> None:
    value = json.dumps(hidden)
    page.evaluate(
        f"Object.defineProperty(document, 'hidden', {{ value: {value}, configurable: true }});"
        "document.dispatchEvent(new Event('visibilitychange'))"
    )


def readings(*, requests: int, le_01: int, inf: int, items: int, messages: int) -> str:
    bucket = "model_request_duration_seconds_bucket"
    return f"""# TYPE model_requests_total counter
model_requests_total{{endpoint="/predict",status="200"}} {requests - 1}
model_requests_total{{endpoint="/v2/models/{{model}}/infer",status="400"}} 1
model_requests_total{{endpoint="/metrics",status="200"}} {requests * 100}
{bucket}{{endpoint="/predict",le="0.1"}} {le_01}
{bucket}{{endpoint="/predict",le="1.0"}} {inf}
{bucket}{{endpoint="/predict",le="+Inf"}} {inf}
{bucket}{{endpoint="/metrics",le="+Inf"}} 1000
trireme_message_items_sum{{stage="inference"}} {items}
trireme_message_items_count{{stage="inference"}} {messages}
trireme_message_items_sum{{stage="preprocess"}} 1000
"""

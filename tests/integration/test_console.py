"""The console in a real Chromium, over the whole platform."""

from __future__ import annotations

import base64
import json
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.support.browser import Visit, chromium, visit
from tests.support.onnx_models import scale
from tests.support.platform import ROOT, Platform, copy_models, platform

GOOD, BAD = "这家酒店非常好，服务热情", "质量太差了，非常失望"
ROW = "59, 2, 32.1, 101, 157, 93.2, 38, 4, 4.8598, 87"
SAMPLES = ROOT / "models" / "digits" / "samples"
PHONE = {"viewport": {"width": 320, "height": 640}, "has_touch": True, "is_mobile": True}


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """The models that ship, a bare tensor model, and one that cannot be loaded."""
    models = copy_models(tmp_path_factory.mktemp("models"))
    for name, content in (("scale", scale(2.0)), ("broken", b"no model")):
        (models / name / "1").mkdir(parents=True)
        (models / name / "1" / "model.onnx").write_bytes(content)
    with platform(models, tmp_path_factory.mktemp("platform")) as started:
        yield started


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
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


def go(page: Page, console: Platform) -> None:
    page.goto(console.url)
    expect(page.locator("input[name=model]:checked")).to_have_count(1)


def pick(page: Page, model: str) -> None:
    page.get_by_role("radio", name=re.compile(rf"^{model}\b")).check()


def run(page: Page) -> None:
    """Presses the button and waits for the answer, of which the request id is a part."""
    page.evaluate("document.getElementById('facts').replaceChildren()")
    page.locator("#run").click()
    expect(page.locator("#facts button.id, #problem .problem").first).to_be_visible()


def shell(page: Page, folder: Path) -> Any:
    """What the shown command answers."""
    command = page.locator("#curl").text_content() or ""
    done = subprocess.run(
        ["bash", "-c", command], cwd=folder, capture_output=True, text=True, timeout=60, check=True
    )
    return json.loads(done.stdout)


class TestAnswers:
    def test_a_text(self, opened: Visit, console: Platform, tmp_path: Path) -> None:
        page = opened.page
        pick(page, "sentiment-zh")
        page.get_by_label("Text", exact=True).fill(GOOD)
        run(page)
        expect(page.locator("#headline .label")).to_have_text("正面")
        expect(page.locator("#headline")).to_have_attribute("aria-live", "polite")
        expect(page.locator("#headline .confidence")).to_have_text(re.compile(r"^\d+\.\d% confident$"))
        meters = page.get_by_role("meter")
        expect(meters).to_have_count(3)
        values = [float(meter.get_attribute("aria-valuenow") or "nan") for meter in meters.all()]
        assert sum(values) == pytest.approx(1, abs=1e-5)
        assert values == sorted(values, reverse=True)
        expect(page.locator("#facts")).to_contain_text("sentiment-zh v1")
        assert shell(page, tmp_path)["results"][0]["label"] == "正面"

    def test_the_time_of_each_stage_and_the_cache(self, opened: Visit) -> None:
        page = opened.page
        pick(page, "sentiment-zh")
        page.locator("#text").fill("从未问过的一句话")
        run(page)
        expect(page.locator(".strip")).to_have_attribute(
            "aria-label", re.compile(r"Inference \d+(\.\d+)? ms")
        )
        legend = page.locator(".legend")
        for stage in ("Preprocess", "Inference", "of it in the queue", "Postprocess", "Gateway"):
            expect(legend).to_contain_text(stage)
        expect(page.locator("[data-cache]")).to_have_text("miss")
        run(page)
        expect(page.locator("[data-cache]")).to_have_text("hit")
        expect(page.locator("#timing")).to_contain_text("No stage ran")

    def test_several_texts_and_one_of_them_blank(self, opened: Visit, tmp_path: Path) -> None:
        page = opened.page
        pick(page, "sentiment-zh")
        page.get_by_role("switch", name="One text a line").check()
        page.locator("#text").fill(f"{GOOD}\n{BAD}\n\n{GOOD}!\n")
        expect(page.locator("#text-count")).to_contain_text("3 texts")
        run(page)
        expect(page.locator(".results .chip")).to_have_text(["正面", "负面", "正面"])
        page.locator(".results summary").first.click()
        expect(page.locator(".results li").first.get_by_role("meter")).to_have_count(3)
        assert [item["label"] for item in shell(page, tmp_path)["results"]] == ["正面", "负面", "正面"]

    def test_a_picture_by_the_file_chooser(self, opened: Visit) -> None:
        page = opened.page
        pick(page, "digits")
        with page.expect_file_chooser() as chooser:
            page.get_by_text("Choose a picture").click()
        chooser.value.set_files(SAMPLES / "3.png")
        expect(page.locator("#image-name")).to_have_text("3.png")
        run(page)
        expect(page.locator("#headline .label")).to_have_text("3")
        expect(page.get_by_role("meter")).to_have_count(10)
        assert shell(page, SAMPLES)["label"] == "3"

    def test_a_picture_with_an_awkward_name(self, opened: Visit, tmp_path: Path) -> None:
        name = 'it\'s "$(x)" 数字.png'
        picture = tmp_path / name
        picture.write_bytes((SAMPLES / "7.png").read_bytes())
        pick(opened.page, "digits")
        opened.page.locator("#file").set_input_files(picture)
        expect(opened.page.locator("#curl")).to_contain_text("@it")
        assert shell(opened.page, tmp_path)["label"] == "7"

    @pytest.mark.parametrize("way", ["drop", "paste"])
    def test_a_picture_dropped_or_pasted(self, opened: Visit, way: str, tmp_path: Path) -> None:
        page = opened.page
        pick(page, "digits")
        data = base64.b64encode((SAMPLES / "8.png").read_bytes()).decode()
        page.evaluate(
            """([way, data]) => {
                const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
                const transfer = new DataTransfer();
                transfer.items.add(new File([bytes], "8.png", { type: "image/png" }));
                const event = way === "drop"
                  ? new DragEvent("drop", { dataTransfer: transfer, bubbles: true, cancelable: true })
                  : new ClipboardEvent("paste", { clipboardData: transfer, bubbles: true, cancelable: true });
                document.getElementById("easel").dispatchEvent(event);
            }""",
            [way, data],
        )
        run(page)
        expect(page.locator("#headline .label")).to_have_text("8")
        folder = tmp_path if way == "paste" else SAMPLES  # what was pasted travels in the command itself
        assert shell(page, folder)["label"] == "8"

    def test_a_digit_drawn_by_hand(self, opened: Visit, tmp_path: Path) -> None:
        page = opened.page
        pick(page, "digits")
        box = page.locator("#canvas").bounding_box()
        assert box is not None
        page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + box["height"] * 0.2)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + box["height"] * 0.8, steps=8)
        page.mouse.up()
        expect(page.locator("#image-name")).to_have_text("Your drawing")
        run(page)
        expect(page.locator("#headline .label")).to_have_text("1")
        assert shell(page, tmp_path)["label"] == "1"
        page.get_by_role("button", name="Clear").click()
        page.locator("#run").click()
        expect(page.locator("#input-error")).to_have_text("Draw something or choose a picture first.")

    def test_ten_numbers(self, opened: Visit, tmp_path: Path) -> None:
        page = opened.page
        pick(page, "tabular")
        page.get_by_role("textbox", name="Numbers").fill(ROW.replace(", ", "\t"))
        expect(page.locator("#numbers-count")).to_have_text("10 of 10 numbers")
        run(page)
        value = float((page.locator("#headline .label").get_attribute("title")) or "nan")
        assert 25 < value < 346
        assert shell(page, tmp_path)["value"] == value

    def test_a_tensor(self, opened: Visit, tmp_path: Path) -> None:
        page = opened.page
        pick(page, "scale")
        expect(page.locator("#tensor")).to_have_value(re.compile(r'"datatype":"FP32"'))
        tensor = {"name": "x", "datatype": "FP32", "shape": [1, 4], "data": [1, 2, 3, 4.5]}
        page.locator("#tensor").fill(json.dumps({"inputs": [tensor]}, indent=1))
        run(page)
        expect(page.locator("#details .numbers li")).to_have_text(["2", "4", "6", "9"])
        assert shell(page, tmp_path)["outputs"][0]["data"] == [2, 4, 6, 9]

    @pytest.mark.parametrize(
        ("model", "label"), [("digits", "7"), ("sentiment-zh", "正面"), ("tabular", "195.442")]
    )
    def test_an_example_is_one_click_away(self, opened: Visit, model: str, label: str) -> None:
        pick(opened.page, model)
        opened.page.locator("#examples button").first.click()
        run(opened.page)
        expect(opened.page.locator("#headline .label")).to_have_text(label)

    def test_an_embedding(self, opened: Visit) -> None:
        """Answered by the test, because the encoder is not part of every checkout."""

        def answer(route: Route) -> None:
            item = {"text": "x", "embedding": [0.5, -0.25, *[0.01] * 382]}
            route.fulfill(json={"results": [item], "model": "sentiment-zh", "version": "1"})

        page = opened.page
        pick(page, "sentiment-zh")
        page.route("**/predict?*", answer)
        page.locator("#text").fill("x")
        page.locator("#run").click()
        expect(page.locator("#headline .label")).to_have_text("384 numbers")
        expect(page.locator("#details .numbers li").nth(1)).to_have_text("-0.25")
        expect(page.locator(".barcode")).to_be_visible()


class TestErrors:
    def test_a_bad_picture_is_shown_in_its_place(self, opened: Visit) -> None:
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

    def test_a_blank_text_alone_and_a_text_of_all_signs(self, opened: Visit, tmp_path: Path) -> None:
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
    def test_wrong_numbers_are_not_sent(self, opened: Visit, typed: str, problem: str) -> None:
        page = opened.page
        pick(page, "tabular")
        expect(page.locator("#numbers-count")).to_have_text("0 of 10 numbers")
        page.locator("#numbers").fill(typed)
        before = len([url for url in opened.requests if url.endswith("/predict")])
        page.locator("#run").click()
        expect(page.locator("#input-error")).to_contain_text(problem)
        expect(page.locator("#numbers")).to_have_attribute("aria-invalid", "true")
        assert len([url for url in opened.requests if url.endswith("/predict")]) == before

    def test_an_unavailable_model_says_why_and_cannot_be_picked(self, opened: Visit) -> None:
        card = opened.page.locator("#model-list > div", has_text="broken")
        expect(card).to_contain_text("unavailable")
        expect(card.locator(".model-reason")).not_to_be_empty()
        expect(card.locator("input")).to_be_disabled()
        expect(opened.page.locator("#health-text")).to_have_text("Degraded")

    def test_what_a_server_says_is_only_text(self, opened: Visit) -> None:
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

    def test_a_gateway_that_is_gone(self, opened: Visit) -> None:
        page = opened.page
        pick(page, "sentiment-zh")
        page.route("**/predict?*", lambda route: route.abort())
        page.locator("#text").fill("x")
        page.locator("#run").click()
        expect(page.locator(".problem .what")).to_have_text("The gateway does not answer")
        opened.errors.clear()


class TestLanguages:
    def test_the_browsers_language_then_the_chosen_one(self, browser: Browser, console: Platform) -> None:
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

    def test_nothing_of_the_other_language_stays(self, opened: Visit) -> None:
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


class TestHands:
    def test_the_keyboard_alone(self, opened: Visit) -> None:
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
    def test_a_phone_has_no_sideways_scroll(self, browser: Browser, console: Platform, locale: str) -> None:
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
    def test_text_stands_out_from_its_ground(self, browser: Browser, console: Platform, scheme: Any) -> None:
        """WCAG AA: 4.5 to 1, or 3 to 1 for large text."""
        with visit(browser, locale="en-US", color_scheme=scheme, reduced_motion="reduce") as found:
            page = found.page
            go(page, console)
            pick(page, "sentiment-zh")
            page.locator("#examples button").last.click()
            run(page)
            assert page.evaluate(CONTRAST) == []

    def test_every_control_has_a_name(self, opened: Visit) -> None:
        pick(opened.page, "digits")
        tree = opened.page.locator("body").aria_snapshot()
        assert not re.findall(
            r"- (?:button|textbox|radio|switch|link|combobox|meter|img)(?: \[.*\])?:?$", tree, re.M
        )


class TestOrigin:
    def test_no_request_leaves_the_origin(self, browser: Browser, console: Platform) -> None:
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

    def test_the_policy_is_in_force(self, opened: Visit) -> None:
        answer = opened.page.request.head(opened.page.url)
        assert answer.headers["content-security-policy"].startswith("default-src 'self';")
        inline = "const made = document.createElement('script'); made.textContent = 'window.ran = 1';"
        opened.page.evaluate(f"{inline} document.body.append(made)")
        assert opened.page.evaluate("window.ran") is None
        assert any("Content Security Policy" in error for error in opened.errors)
        opened.errors.clear()


class TestCharts:
    def test_requests_become_points_and_a_hidden_tab_rests(self, browser: Browser, console: Platform) -> None:
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
            expect(rate.locator("svg")).to_have_attribute(
                "aria-label", re.compile(r"Requests a second: 0?\.\d+")
            )
            expect(latency.locator(".now")).to_contain_text(re.compile(r"p50[\d.]+ ms"))
            tab(page, hidden=True)
            before = count(found, "/metrics")
            page.clock.run_for(10_000)
            assert count(found, "/metrics") == before
            tab(page, hidden=False)
            polls(page, found, 1)
            page.get_by_role("button", name="Pause").click()
            expect(page.locator("#live-note")).to_have_text("Paused.")

    def test_the_arithmetic(self, opened: Visit) -> None:
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

    def test_shell_words_survive(self, opened: Visit) -> None:
        words = ["", "a b", "it's", "'''", "$(x) `y` \\", "数字\n", '"']
        quoted = opened.page.evaluate(
            "async (words) => words.map((await import('/console/requests.js')).quote)",
            words,
        )
        assert shlex.split(" ".join(quoted)) == words


def reach(page: Page, selector: str) -> None:
    """Tabs on until the keyboard is there."""
    for _ in range(40):
        if page.evaluate("(selector) => document.activeElement.matches(selector)", selector):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"the keyboard never reaches {selector}")


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

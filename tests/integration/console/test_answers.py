"""Every kind of model is asked, and the shown command answers the same."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path

import pytest
from playwright.sync_api import Route, expect

from tests.integration.console.driving import BAD, GOOD, SAMPLES, pick, run, shell
from tests.support.browser import Visit
from tests.support.platform import Platform

ROW = "59, 2, 32.1, 101, 157, 93.2, 38, 4, 4.8598, 87"


def test_a_text(opened: Visit, console: Platform, tmp_path: Path) -> None:
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


def test_the_time_of_each_stage_and_the_cache(opened: Visit) -> None:
    page = opened.page
    pick(page, "sentiment-zh")
    page.locator("#text").fill("从未问过的一句话")
    run(page)
    expect(page.locator(".strip")).to_have_attribute("aria-label", re.compile(r"Inference \d+(\.\d+)? ms"))
    legend = page.locator(".legend")
    for stage in ("Preprocess", "Inference", "of it in the queue", "Postprocess", "Gateway"):
        expect(legend).to_contain_text(stage)
    expect(page.locator("[data-cache]")).to_have_text("miss")
    run(page)
    expect(page.locator("[data-cache]")).to_have_text("hit")
    expect(page.locator("#timing")).to_contain_text("No stage ran")


def test_several_texts_and_one_of_them_blank(opened: Visit, tmp_path: Path) -> None:
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


def test_a_picture_by_the_file_chooser(opened: Visit) -> None:
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


def test_a_picture_with_an_awkward_name(opened: Visit, tmp_path: Path) -> None:
    name = 'it\'s "$(x)" 数字.png'
    picture = tmp_path / name
    picture.write_bytes((SAMPLES / "7.png").read_bytes())
    pick(opened.page, "digits")
    opened.page.locator("#file").set_input_files(picture)
    expect(opened.page.locator("#curl")).to_contain_text("@it")
    assert shell(opened.page, tmp_path)["label"] == "7"


@pytest.mark.parametrize("way", ["drop", "paste"])
def test_a_picture_dropped_or_pasted(opened: Visit, way: str, tmp_path: Path) -> None:
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


def test_a_digit_drawn_by_hand(opened: Visit, tmp_path: Path) -> None:
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


def test_ten_numbers(opened: Visit, tmp_path: Path) -> None:
    page = opened.page
    pick(page, "tabular")
    page.get_by_role("textbox", name="Numbers").fill(ROW.replace(", ", "\t"))
    expect(page.locator("#numbers-count")).to_have_text("10 of 10 numbers")
    run(page)
    value = float((page.locator("#headline .label").get_attribute("title")) or "nan")
    assert 25 < value < 346
    assert shell(page, tmp_path)["value"] == value


def test_a_tensor(opened: Visit, tmp_path: Path) -> None:
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
def test_an_example_is_one_click_away(opened: Visit, model: str, label: str) -> None:
    pick(opened.page, model)
    opened.page.locator("#examples button").first.click()
    run(opened.page)
    expect(opened.page.locator("#headline .label")).to_have_text(label)


def test_an_embedding(opened: Visit) -> None:
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
